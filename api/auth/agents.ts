import type { JWTPayload, JWTVerifyGetKey } from 'jose';
import type { Configuration } from '../../configuration/configurationSchema.ts';
import { agentPrincipal } from '../../domain/agents.ts';
import { idPattern } from '../../domain/ids.ts';
import {
  findAgent,
  findAgentsOfSubject,
  type KnownAgent,
  type KnownRegistration,
  recordAgentKeyUse,
} from '../../ledger/agentAuthentication.ts';
import type { Ledger } from '../../ledger/client.ts';
import { recordRefusal } from '../../ledger/refusals.ts';
import { useOnce } from '../../ledger/singleUse.ts';
import { Problem } from '../problem.ts';
import {
  type AgentRefusal,
  type Assertion,
  AssertionRefused,
  keyOf,
  longestAssertionSeconds,
  verifyAssertion,
} from './agentAssertion.ts';
import { AgentKeysUnavailable, agentJwks } from './agentJwks.ts';
import { unauthenticated } from './oidcProvider.ts';
import type { Principal } from './principal.ts';

const issuerPrefix = agentPrincipal('');

export interface AgentSignIn {
  /** By `private_key_jwt`. @throws Problem `unauthenticated`, with evidence when the agent is known */
  byAssertion(token: string, claimedIssuer: string): Promise<Principal>;
  /** By verified claims of a provider `for: agents`. @throws Problem as above */
  byWorkloadToken(claims: JWTPayload, provider: string): Promise<Principal>;
}

export function isAgentIssuer(issuer: unknown): issuer is string {
  return typeof issuer === 'string' && issuer.startsWith(issuerPrefix);
}

/** How agents authenticate: what counts is what the ledger says of them at that moment. */
export function agentSignIn({
  configuration: { publicUrl: audience },
  ledger,
  now,
}: {
  configuration: Pick<Configuration, 'publicUrl'>;
  ledger: Pick<Ledger, 'prisma' | 'direct' | 'evidence'>;
  now: () => Date;
}): AgentSignIn {
  const { prisma } = ledger;
  const jwks = agentJwks({ publicUrl: audience, now });

  /** Undefined where no assertion can be verified by it: an address that counts no more may be anybody's by now. */
  function keysOf({ registration, isAccepted }: KnownRegistration): JWTVerifyGetKey | undefined {
    if ('publicKey' in registration) return keyOf(registration.publicKey);
    return 'jwksUri' in registration && isAccepted ? jwks(registration.jwksUri) : undefined;
  }

  async function refuse(agent: KnownAgent, reason: AgentRefusal, cause?: unknown): Promise<never> {
    const { identityId } = agent;
    const kind = 'agent.authentication-refused';
    const chain = `identity/${identityId}`;
    await recordRefusal(ledger, { chain, kind, identityId, actor: 'system:sign-in', reason });
    throw unauthenticated(refusals[reason], cause);
  }

  /** Whoever it is has shown that they are this agent, by this registration. */
  async function admit(
    agent: KnownAgent,
    { handle, isAccepted, isUseDue }: KnownRegistration,
    assertion?: Assertion,
  ): Promise<Principal> {
    if (!isAccepted) return refuse(agent, 'retired-key');
    if (agent.state !== 'active') return refuse(agent, 'not-active');
    const { identityId } = agent;
    // Last: what is refused for another reason uses nothing up.
    if (assertion !== undefined && !(await isFirstUse(identityId, assertion))) return refuse(agent, 'replayed');
    if (isUseDue) await recordAgentKeyUse(prisma, handle);
    const id = agentPrincipal(identityId);
    return { id, ids: [id], kind: 'agent', identityId, groups: [], roles: [] };
  }

  /** Kept well past its end, whatever the clocks say. */
  function isFirstUse(identityId: string, { jti, expiresAt }: Assertion): Promise<boolean> {
    const until = new Date(expiresAt.getTime() + longestAssertionSeconds * 1000);
    return useOnce(prisma, { purpose: 'agent-assertion', value: `${identityId}/${jti}`, until });
  }

  /** The registration whose key signed it. */
  async function verified(
    token: string,
    agent: KnownAgent,
  ): Promise<{ registration: KnownRegistration; assertion: Assertion }> {
    let refusal: AssertionRefused | AgentKeysUnavailable = new AssertionRefused('no-registration');
    // What counts goes first: the next version may be of the same keys, and not be committed yet.
    for (const registration of agent.registrations.toSorted((one, other) => +other.isAccepted - +one.isAccepted)) {
      const getKey = keysOf(registration);
      if (getKey === undefined) continue;
      const expected = { agent: agentPrincipal(agent.identityId), audience, now: now() };
      try {
        const assertion = await verifyAssertion(token, getKey, expected);
        return { registration, assertion };
      } catch (error) {
        if (!(error instanceof AssertionRefused || error instanceof AgentKeysUnavailable)) throw error;
        // That keys could not be had outweighs that others did not sign it: it may have been they.
        if (!(refusal instanceof AgentKeysUnavailable)) refusal = error;
        // Signed by this key, or by none at all: another key makes it no better.
        if (error instanceof AssertionRefused && error.reason !== 'bad-signature')
          return refuse(agent, error.reason, error);
      }
    }
    if (refusal instanceof AssertionRefused) return refuse(agent, refusal.reason, refusal);
    throw new Problem(
      'sign-in-unavailable',
      "The keys at the agent's registered address cannot be fetched now, so no assertion of it can be checked. Try again; if it lasts, check the address.",
      { headers: { 'Retry-After': '5' }, cause: refusal },
    );
  }

  return {
    async byAssertion(token, claimedIssuer) {
      const identityId = claimedIssuer.slice(issuerPrefix.length);
      const agent = idPattern.test(identityId) ? await findAgent(prisma, identityId) : undefined;
      if (agent === undefined) throw unauthenticated(refusals['bad-signature']);
      const { registration, assertion } = await verified(token, agent);
      return admit(agent, registration, assertion);
    },

    async byWorkloadToken({ sub }, provider) {
      if (sub === undefined) throw unauthenticated(refusals['wrong-claims']);
      const found = await findAgentsOfSubject(prisma, { provider, subject: sub });
      const [identityId] = found;
      if (identityId === undefined || found.length > 1)
        throw unauthenticated(`The token's subject is registered of no agent, or of several. Register it of one.`);
      const agent = await findAgent(prisma, identityId);
      const ofSubject = agent?.registrations.filter(
        ({ registration }) =>
          'oidc' in registration && registration.oidc.provider === provider && registration.oidc.subject === sub,
      );
      const registration = ofSubject?.find(({ isAccepted }) => isAccepted) ?? ofSubject?.[0];
      if (agent === undefined || registration === undefined) throw unauthenticated(refusals['retired-key']);
      return admit(agent, registration);
    },
  };
}

/** What happened, and what to do next. */
const refusals: Readonly<Record<AgentRefusal, string>> = {
  'no-registration': 'No key is registered of this agent to verify assertions with. Rotate its registration.',
  algorithm: 'The assertion is signed with an algorithm that is not accepted. Use RS256, PS256, ES256 or Ed25519.',
  'bad-signature': 'The assertion is not signed by a key that is registered of this agent. Sign it with that key.',
  'not-an-assertion': 'The token is signed by the agent but is no assertion. Make a new one of typ "JWT".',
  malformed: 'The assertion is not a well-formed signed JWT. Make a new one.',
  'wrong-audience': "The assertion's only audience must be the publicUrl of tenure.yaml. Make a new one.",
  expired: 'The assertion has expired. Make a new one for each call.',
  'not-yet-valid': "The assertion is not valid yet. Compare this machine's clock with the agent's.",
  'too-long-lived': `The assertion lives longer than ${longestAssertionSeconds} seconds. Make a new one with an earlier "exp".`,
  'wrong-claims':
    'The assertion must have "iss" and "sub" (both agent:<identity>), "aud", "iat", "exp" and "jti". Make a new one.',
  'retired-key': 'The key that signed it is no longer, or not yet, registered of this agent. Use its current key.',
  'not-active': 'The agent is not active. Ask its owner.',
  replayed: 'The assertion was used before. Make a new one, with a "jti" of its own, for each call.',
};
