import type { Grant } from '../domain/grantClaims.ts';
import { Prisma } from '../prisma/generated/client.ts';
import { issuingTransaction, type Ledger } from './client.ts';
import { databaseClock } from './databaseClock.ts';
import { appendEvidence, requestChain } from './evidence.ts';
import { holds } from './freezeSubjects.ts';
import { isActive } from './people.ts';
import { type Page, type PageAsked, pageOf } from './queries/page.ts';
import type { Statements } from './statements.ts';

export const grantStandings = [
  'active',
  'revoked',
  'expired',
  'agent-revoked',
  'agent-expired',
  'frozen',
  'scope-narrowed',
  'owner-inactive',
  'person-inactive',
] as const;
/** Whether a grant may be used now; all but `active` say why not. */
export type GrantStanding = (typeof grantStandings)[number];

export interface KnownGrant extends Grant {
  readonly requestId: string;
  readonly revokedAt: Date | null;
  readonly revokedBy: string | null;
  readonly revokedBecause: string | null;
  readonly standing: GrantStanding;
}

const columns = Prisma.sql`g."id", g."requestId", g."identityId", g."audience", g."tool", g."action", g."resource",
  g."workspace", g."jkt", g."onBehalfOf", g."isOnBehalfVerified", g."authenticatedAt", g."issuedAt", g."expiresAt", g."revokedAt",
  g."revokedBy", g."revokedBecause"`;

const isActivePerson = (id: Prisma.Sql) =>
  Prisma.sql`EXISTS (
    SELECT FROM "person" named JOIN "person" p ON p."id" = coalesce(named."aliasOf", named."id")
    WHERE named."id" = ${id} AND ${isActive})`;

export const isFrozen = Prisma.sql`EXISTS (SELECT FROM "freeze" f WHERE ${holds})`;

/** Of a grant `g` and its identity `i`, by what the ledger says at this moment. */
export const standingWhen = (frozen: Prisma.Sql) => Prisma.sql`CASE
  WHEN g."revokedAt" IS NOT NULL THEN 'revoked'
  WHEN g."expiresAt" <= clock_timestamp() THEN 'expired'
  WHEN i."state" <> 'active' THEN 'agent-revoked'
  WHEN i."expiresAt" <= clock_timestamp() THEN 'agent-expired'
  WHEN ${frozen} THEN 'frozen'
  WHEN NOT g."tool" || ':' || g."action" = ANY(i."scopes") THEN 'scope-narrowed'
  WHEN NOT ${isActivePerson(Prisma.sql`i."ownerId"`)} THEN 'owner-inactive'
  WHEN g."onBehalfOf" IS NOT NULL AND NOT ${isActivePerson(Prisma.sql`g."onBehalfOf"`)} THEN 'person-inactive'
  ELSE 'active' END`;
const standing = standingWhen(isFrozen);

/** The grant of a request as it stands now; undefined when it was granted nothing. */
export async function findGrantOfRequest(
  prisma: Pick<Statements, '$queryRaw'>,
  requestId: string,
): Promise<KnownGrant | undefined> {
  const [row] = await prisma.$queryRaw<KnownGrant[]>`
    SELECT ${columns}, ${standing} AS "standing"
    FROM "access_grant" g JOIN "identity" i ON i."id" = g."identityId" WHERE g."requestId" = ${requestId}`;
  return row;
}

/** All grants of one agent, the newest first. */
export async function listGrants(
  prisma: Pick<Statements, '$queryRaw'>,
  identityId: string,
  { limit, after }: PageAsked,
): Promise<Page<KnownGrant & { readonly createdAt: Date }>> {
  const place =
    after === undefined ? Prisma.empty : Prisma.sql`AND (g."issuedAt", g."id") < (${after.createdAt}, ${after.id})`;
  const rows = await prisma.$queryRaw<(KnownGrant & { createdAt: Date })[]>`
    SELECT ${columns}, g."issuedAt" AS "createdAt", ${standing} AS "standing"
    FROM "access_grant" g JOIN "identity" i ON i."id" = g."identityId"
    WHERE g."identityId" = ${identityId} ${place} ORDER BY g."issuedAt" DESC, g."id" DESC LIMIT ${limit + 1}::int`;
  return pageOf(rows, limit);
}

/**
 * Effect: grants of one identity that have not expired are revoked, each with its evidence. No grant is given meanwhile:
 * what is given waits for the identity's lock. Idempotent: a revoked one stays as it is.
 * @param grantId that one alone; all of them, when left out
 */
export async function revokeGrants(
  ledger: Ledger,
  { identityId, grantId, by, reason }: { identityId: string; grantId?: string; by: string; reason: string },
): Promise<void> {
  await issuingTransaction(ledger, async (tx) => {
    await tx.$queryRaw`SELECT "id" FROM "identity" WHERE "id" = ${identityId} FOR UPDATE`;
    const at = await databaseClock(tx);
    const revoked = await tx.$queryRaw<KnownGrant[]>`
      UPDATE "access_grant" g SET "revokedAt" = ${at}, "revokedBy" = ${by}, "revokedBecause" = ${reason}
      WHERE g."identityId" = ${identityId} AND (${grantId ?? null}::text IS NULL OR g."id" = ${grantId ?? null})
        AND g."revokedAt" IS NULL AND g."expiresAt" > ${at}
      RETURNING ${columns}`;
    await appendEvidence(
      tx,
      ledger.evidence,
      revoked.map(({ id, requestId, tool, action }) => ({
        chain: requestChain(requestId),
        kind: 'grant.revoked',
        actor: by,
        requestId,
        identityId,
        at,
        data: { grantId: id, tool, action, reason },
      })),
    );
  });
}
