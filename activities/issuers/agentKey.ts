import { agentRegistrationSchema } from '../../domain/agentRegistration.ts';
import type { AgentRegistration } from '../../domain/agents.ts';
import { canonicalJson } from '../../domain/evidence/canonicalJson.ts';
import { agentKeys, oidcSubjectOf, registrationAskedFor } from '../../ledger/agentKeys.ts';
import type { Issuer } from './issuer.ts';
import { IssuerRefused } from './issuerErrors.ts';
import { createLedgerIssuer, type LedgerIssuerPlace } from './ledgerIssuer.ts';

/**
 * What agents authenticate with: a public key, an address of public keys, or a workload's subject, in a table of the ledger's
 * database. The "secret" of such a credential is that registration in canonical form, as the request that mints it carries it:
 * nothing in it is secret, and the agent's private key never comes here.
 */
export function createAgentKeyIssuer(name: string, place: LedgerIssuerPlace): Issuer {
  return createLedgerIssuer(name, place, {
    type: 'agent-key',
    lastUsed: true,
    rows: agentKeys,
    async generateSecret({ handle }) {
      const registration = await registrationAskedFor(place.prisma, handle);
      if (registration === undefined)
        throw new IssuerRefused(name, handle, 'its request names nothing that the agent is to authenticate with');
      return secretOf(registration);
    },
    async keptOf({ handle, secret }) {
      const registration = registrationIn(secret);
      if (registration === undefined) throw new IssuerRefused(name, handle, 'what is staged for it is no registration');
      return { registration, oidcSubject: oidcSubjectOf(registration) };
    },
    accepts: async ({ registration }, secret) => secretOf(registration) === secret,
  });
}

function secretOf(registration: AgentRegistration): string {
  return canonicalJson({ ...registration });
}

function registrationIn(secret: string): AgentRegistration | undefined {
  try {
    return agentRegistrationSchema.safeParse(JSON.parse(secret)).data;
  } catch {
    return undefined; // not JSON
  }
}
