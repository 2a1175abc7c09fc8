import type { AgentRegistration } from '../domain/agents.ts';
import type { IdentityState } from '../domain/states.ts';
import { oidcSubjectOf } from './agentKeys.ts';
import type { Statements } from './statements.ts';

/** What an agent is registered with, and whether that counts now. */
export interface KnownRegistration {
  readonly handle: string;
  readonly registration: AgentRegistration;
  /** Its issuance is committed and not undone, and it has not expired. */
  readonly isAccepted: boolean;
  /** The last recorded use is more than half a minute ago. */
  readonly isUseDue: boolean;
}

export interface KnownAgent {
  readonly identityId: string;
  readonly state: IdentityState;
  /** The newest first. */
  readonly registrations: readonly KnownRegistration[];
}

type Row = { identityId: string; state: IdentityState } & (KnownRegistration | Record<keyof KnownRegistration, null>);

/**
 * The agent and all that it is registered with, in one statement, never cached: a revocation counts from its commit on.
 * @returns undefined when there is no such identity, or it is no agent
 */
export async function findAgent(
  prisma: Pick<Statements, '$queryRaw'>,
  identityId: string,
): Promise<KnownAgent | undefined> {
  const rows = await prisma.$queryRaw<Row[]>`
    SELECT i."id" AS "identityId", i."state", k."handle", k."registration",
      c."state" IN ('current', 'retiring') AND k."validUntil" > clock_timestamp() AS "isAccepted",
      k."lastUsedAt" IS NULL OR k."lastUsedAt" < clock_timestamp() - interval '30 seconds' AS "isUseDue"
    FROM "identity" i
    LEFT JOIN ("agent_key" k JOIN "credential" c ON c."handle" = k."handle") ON k."identityId" = i."id"
    WHERE i."id" = ${identityId} AND i."kind" = 'agent'
    ORDER BY k."version" DESC`;
  const [first] = rows;
  if (first === undefined) return undefined;
  const registrations = rows.flatMap(({ handle, registration, isAccepted, isUseDue }) =>
    handle === null ? [] : [{ handle, registration, isAccepted, isUseDue }],
  );
  return { identityId, state: first.state, registrations };
}

/** Every agent that is registered with this subject: more than one must be told apart from none. */
export async function findAgentsOfSubject(
  prisma: Pick<Statements, '$queryRaw'>,
  oidc: { readonly provider: string; readonly subject: string },
): Promise<readonly string[]> {
  const rows = await prisma.$queryRaw<{ identityId: string }[]>`
    SELECT DISTINCT "identityId" FROM "agent_key" WHERE "oidcSubject" = ${oidcSubjectOf({ oidc })} LIMIT 2`;
  return rows.map(({ identityId }) => identityId);
}

/** Records a use, by the database's clock. Ask only when `isUseDue`: a busy agent then costs a write each half minute. */
export async function recordAgentKeyUse(prisma: Pick<Statements, '$executeRaw'>, handle: string): Promise<void> {
  await prisma.$executeRaw`UPDATE "agent_key" SET "lastUsedAt" = clock_timestamp() WHERE "handle" = ${handle}`;
}
