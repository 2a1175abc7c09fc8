import { agentRegistrationSchema } from '../../domain/agentRegistration.ts';
import type { AgentRegistration } from '../../domain/agents.ts';
import { canonicalJson } from '../../domain/evidence/canonicalJson.ts';
import {
  type AgentKeyTable,
  agentKeyInventory,
  deleteAgentKey,
  findAgentKey,
  insertAgentKey,
  listAgentKeys,
  registrationAskedFor,
  setAgentKeyExpiry,
} from '../../ledger/agentKeys.ts';
import { databaseFault, within } from '../ledgerDatabase.ts';
import { partsOfHandle } from './handle.ts';
import type { Issuer } from './issuer.ts';
import {
  ForeignCredential,
  HandleMissing,
  HandleNotResumable,
  IssuerRefused,
  IssuerUnavailable,
} from './issuerErrors.ts';

export interface AgentKeyOptions {
  readonly prisma: AgentKeyTable;
  readonly installationId: string;
  /** Every action of every tool. */
  readonly scopes: readonly string[];
  readonly timeoutMs?: number;
}

const defaultTimeoutMs = 10_000;

/**
 * What agents authenticate with: a public key, an address of public keys, or a workload's subject, in a table of the ledger's
 * database. The "secret" of such a credential is that registration in canonical form, as the minting request carries it:
 * nothing in it is secret, and the agent's private key never comes here. Every effect is one statement.
 */
export function createAgentKeyIssuer(
  name: string,
  { prisma, installationId, scopes: offered, timeoutMs = defaultTimeoutMs }: AgentKeyOptions,
): Issuer {
  const owner = { issuer: name, installationId };

  async function ask<T>(call: Promise<T>): Promise<T> {
    try {
      return await within(timeoutMs, call);
    } catch (cause) {
      throw new IssuerUnavailable(name, databaseFault(cause).reason, { cause });
    }
  }

  /** The row of this handle. @throws ForeignCredential when another issuer or installation made it */
  async function findOwn(handle: string) {
    const row = await ask(findAgentKey(prisma, handle));
    if (row !== undefined && (row.issuer !== name || row.installationId !== installationId))
      throw new ForeignCredential(name, handle);
    return row;
  }

  async function moveExpiry(handle: string, validUntil: Date): Promise<void> {
    if (await ask(setAgentKeyExpiry(prisma, { ...owner, handle, validUntil }))) return;
    await findOwn(handle);
    throw new HandleMissing(name, handle);
  }

  return {
    name,
    type: 'agent-key',
    capabilities: { overlap: true, expiry: true, secretChosenBy: 'tenure', lastUsed: true },

    async generateSecret({ handle }) {
      const registration = await ask(registrationAskedFor(prisma, handle));
      if (registration === undefined)
        throw new IssuerRefused(name, handle, 'its request names nothing that the agent is to authenticate with');
      return secretOf(registration);
    },

    async create({ handle, identityId, secret, scopes, validUntil }) {
      const parts = partsOfHandle(handle);
      if (parts?.identityId !== identityId)
        throw new IssuerRefused(name, handle, `it is no handle of identity ${identityId}`);
      const unknown = scopes.find((scope) => !offered.includes(scope));
      if (unknown !== undefined) throw new IssuerRefused(name, handle, `scope "${unknown}" is not offered here`);
      const registration = registrationIn(secret);
      if (registration === undefined) throw new IssuerRefused(name, handle, 'what is staged for it is no registration');
      if (await ask(insertAgentKey(prisma, { ...owner, handle, ...parts, registration, validUntil }))) return;
      const found = await findOwn(handle);
      if (found === undefined)
        throw new IssuerRefused(name, handle, "a later version exists already, or its subject is another agent's");
      if (secretOf(found.registration) !== secret)
        throw new HandleNotResumable(name, handle, 'another registration is there');
      // Never earlier than it was: this may be a late repetition, and the credential committed and extended since.
      if (found.validUntil < validUntil) await moveExpiry(handle, validUntil);
    },

    extend: ({ handle, validUntil }) => moveExpiry(handle, validUntil),

    async prove({ handle, secret }) {
      const row = await ask(findAgentKey(prisma, handle));
      return row?.isAccepted === true && secretOf(row.registration) === secret ? 'accepted' : 'refused';
    },

    async controlLogin() {
      await ask(listAgentKeys(prisma, { ...owner, identityId: '' }));
    },

    async destroy({ handle, identityId }) {
      if (partsOfHandle(handle)?.identityId !== identityId) throw new ForeignCredential(name, handle);
      if (!(await ask(deleteAgentKey(prisma, { ...owner, handle })))) await findOwn(handle);
    },

    async retireIdentity({ identityId }) {
      const left = await ask(listAgentKeys(prisma, { ...owner, identityId }));
      if (left.length > 0)
        throw new IssuerRefused(
          name,
          identityId,
          `${left.map(({ handle }) => handle).join(', ')} must be destroyed first`,
        );
    },

    list: (filter) => ask(listAgentKeys(prisma, { ...owner, identityId: filter?.identityId })),

    async inventory(page) {
      const rows = await ask(agentKeyInventory(prisma, { issuer: name, ...page }));
      return rows.map(({ handle, identityId, installationId: madeBy, validUntil }) => ({
        handle,
        identityId,
        validUntil,
        isOurs: madeBy === installationId,
      }));
    },
  };
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
