import type { AgentRegistration } from '../domain/agents.ts';
import { oidcSubjectOf } from './agentAuthentication.ts';
import type { Transaction } from './client.ts';

/** What the issuer `agent-key` keeps: one row for each registration, and nothing secret in it. */
export interface AgentKeyRow {
  readonly handle: string;
  readonly issuer: string;
  readonly installationId: string;
  readonly identityId: string;
  readonly version: number;
  readonly registration: AgentRegistration;
  readonly validUntil: Date;
}

/** Whose registrations are meant: those of one issuer of one installation. */
export interface AgentKeyOwner {
  readonly issuer: string;
  readonly installationId: string;
}

/** The client or a transaction. */
export type AgentKeyTable = Pick<Transaction, 'agentKey' | 'credential' | '$executeRaw' | '$queryRaw'>;

/** What the request that is minting this credential asks to register; undefined when it asks for nothing. */
export async function registrationAskedFor(
  table: AgentKeyTable,
  handle: string,
): Promise<AgentRegistration | undefined> {
  const credential = await table.credential.findUnique({
    where: { handle },
    select: { request: { select: { registration: true } } },
  });
  return (credential?.request.registration ?? undefined) as AgentRegistration | undefined;
}

/**
 * Inserts a registration, in one statement, unless its handle is there, a later version of its identity is (versions only
 * grow, so that would be a late repetition), or its subject is another identity's.
 * @returns false when nothing was inserted
 */
export async function insertAgentKey(table: AgentKeyTable, row: AgentKeyRow): Promise<boolean> {
  const { handle, issuer, installationId, identityId, version, registration, validUntil } = row;
  const subject = 'oidc' in registration ? oidcSubjectOf(registration.oidc) : null;
  const count = await table.$executeRaw`
    INSERT INTO "agent_key"
      ("handle", "issuer", "installationId", "identityId", "version", "registration", "oidcSubject", "validUntil")
    SELECT ${handle}, ${issuer}, ${installationId}, ${identityId}, ${version}::int, ${JSON.stringify(registration)}::jsonb,
      ${subject}, ${validUntil}
    WHERE NOT EXISTS (SELECT FROM "agent_key" WHERE
      ("identityId" = ${identityId} AND "version" > ${version}::int) OR
      ("oidcSubject" = ${subject}::text AND "identityId" <> ${identityId}))
    ON CONFLICT ("handle") DO NOTHING`;
  return count === 1;
}

export async function findAgentKey(
  table: AgentKeyTable,
  handle: string,
): Promise<(AgentKeyRow & { isAccepted: boolean }) | undefined> {
  const [row] = await table.$queryRaw<(AgentKeyRow & { isAccepted: boolean })[]>`
    SELECT "handle", "issuer", "installationId", "identityId", "version", "registration", "validUntil",
           "validUntil" > clock_timestamp() AS "isAccepted"
    FROM "agent_key" WHERE "handle" = ${handle}`;
  return row;
}

/** Moves a registration's expiry. @returns false when the owner has no such registration */
export async function setAgentKeyExpiry(
  table: AgentKeyTable,
  { handle, issuer, installationId, validUntil }: AgentKeyOwner & { handle: string; validUntil: Date },
): Promise<boolean> {
  const { count } = await table.agentKey.updateMany({
    where: { handle, issuer, installationId },
    data: { validUntil },
  });
  return count === 1;
}

/** @returns false when the owner had no such registration */
export async function deleteAgentKey(
  table: AgentKeyTable,
  { handle, issuer, installationId }: AgentKeyOwner & { handle: string },
): Promise<boolean> {
  const { count } = await table.agentKey.deleteMany({ where: { handle, issuer, installationId } });
  return count === 1;
}

/** In byte order of handles. */
export async function listAgentKeys(
  table: AgentKeyTable,
  { issuer, installationId, identityId }: AgentKeyOwner & { identityId: string | undefined },
): Promise<readonly Pick<AgentKeyRow, 'handle' | 'identityId' | 'validUntil'>[]> {
  return table.agentKey.findMany({
    where: { issuer, installationId, ...(identityId === undefined ? {} : { identityId }) },
    orderBy: { handle: 'asc' },
    select: { handle: true, identityId: true, validUntil: true },
  });
}

/** A page of an issuer's rows of all installations, in byte order of handles. */
export async function agentKeyInventory(
  table: AgentKeyTable,
  { issuer, after, limit }: { issuer: string; after: string; limit: number },
): Promise<readonly Pick<AgentKeyRow, 'handle' | 'identityId' | 'installationId' | 'validUntil'>[]> {
  return table.$queryRaw`
    SELECT "handle", "identityId", "installationId", "validUntil" FROM "agent_key"
    WHERE "issuer" = ${issuer} AND "handle" COLLATE "C" > ${after}
    ORDER BY "handle" COLLATE "C" LIMIT ${limit}`;
}
