import type { AgentPolicy, AgentRegistration } from '../domain/agents.ts';
import { canonicalJson } from '../domain/evidence/canonicalJson.ts';
import type { OpenOrder } from '../domain/flow/open.ts';
import type { Identity } from '../prisma/generated/client.ts';
import { oidcSubjectOf } from './agentKeys.ts';
import { type Refusal, refuse } from './openRefusal.ts';
import type { Statements } from './statements.ts';
import { type Agent, agentPolicyOf } from './stepUpAsk.ts';

/** What a request on an agent shows of it; members are left out where there is nothing. */
export function shownOfAgent(
  identity: Agent | null,
  { registration }: { readonly registration?: unknown },
): { readonly policy?: AgentPolicy; readonly registration?: AgentRegistration } {
  const policy = identity === null ? undefined : agentPolicyOf(identity);
  return {
    ...(policy === undefined ? {} : { policy }),
    ...(registration ? { registration: registration as AgentRegistration } : {}),
  };
}

/**
 * What an onboarding or rotation of this identity registers. A rotation that names nothing registers the same again where
 * that makes sense (an address, a workload's subject); a public key takes another one.
 * @returns undefined where nothing is registered, or why it cannot be
 */
export async function registrationFor(
  tx: Statements,
  identity: Pick<Identity, 'id' | 'kind'>,
  { kind, registration }: Pick<OpenOrder, 'kind' | 'registration'>,
): Promise<AgentRegistration | Refusal | undefined> {
  const registers = identity.kind === 'agent' && (kind === 'onboarding' || kind === 'rotation');
  if (!registers) {
    if (registration === undefined) return undefined;
    return refuse('invalid-request', `Only an agent is registered, at its onboarding and rotations. Leave it out.`);
  }
  const present = await presentRegistration(tx, identity.id);
  const wanted = registration ?? (present !== undefined && 'publicKey' in present ? undefined : present);
  if (wanted === undefined) {
    return refuse(
      'registration-required',
      `Agent ${identity.id} authenticates with a public key. Name the new one in "registration".`,
    );
  }
  if (present !== undefined && 'publicKey' in wanted && isSame(wanted, present)) {
    return refuse('registration-required', `Agent ${identity.id} has this key now. Make a new one, and name that.`);
  }
  const taken = await takenBy(tx, identity.id, wanted);
  if (taken === undefined) return wanted;
  return refuse(
    'registration-taken',
    `Agent ${taken} is registered with this subject. Revoke it first, or name another.`,
  );
}

/** Whether nobody but the agent can make what a rotation of this identity would register. */
export async function needsNewKey(tx: Statements, { id, kind }: Pick<Identity, 'id' | 'kind'>): Promise<boolean> {
  if (kind !== 'agent') return false;
  const present = await presentRegistration(tx, id);
  return present !== undefined && 'publicKey' in present;
}

function isSame(one: AgentRegistration, other: AgentRegistration): boolean {
  return canonicalJson({ ...one }) === canonicalJson({ ...other });
}

async function presentRegistration(tx: Statements, identityId: string): Promise<AgentRegistration | undefined> {
  const [row] = await tx.$queryRaw<{ registration: AgentRegistration }[]>`
    SELECT k."registration" FROM "agent_key" k JOIN "credential" c ON c."handle" = k."handle"
    WHERE c."identityId" = ${identityId} AND c."state" = 'current'`;
  return row?.registration;
}

/** A subject is one agent. Two that were asked for at once are told apart at sign-in: then it is neither. */
async function takenBy(
  tx: Statements,
  identityId: string,
  registration: AgentRegistration,
): Promise<string | undefined> {
  const subject = oidcSubjectOf(registration);
  if (subject === null) return undefined;
  const [other] = await tx.$queryRaw<{ identityId: string }[]>`
    SELECT "identityId" FROM "agent_key" WHERE "oidcSubject" = ${subject} AND "identityId" <> ${identityId} LIMIT 1`;
  return other?.identityId;
}
