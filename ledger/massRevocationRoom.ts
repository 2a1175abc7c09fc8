import { type IssuerLoad, type RevocationPace, roomFor } from '../domain/massRevocation.ts';
import type { Transaction } from './client.ts';
import { isStuck } from './massRevocationSubjects.ts';

/**
 * Who begins next, as far as the issuers' limits leave room. Asked several times a second, so nothing here reads more subjects
 * than are under way and begin, however many wait or are over.
 */

/** Late matches are frozen meanwhile, so that finding them may take a moment. */
const gatherEvery = '5 seconds';

/** A mass revocation that is not closed. */
export interface Open {
  readonly id: string;
  readonly mayBegin: boolean;
  /** The issuers of those that wait. */
  readonly waitedFor: readonly string[];
  /** Subjects were last looked for some time ago, or nothing is left to do. */
  readonly isGatherDue: boolean;
}

/**
 * What a restored ledger still knew waits until it may act. A pause or lift that this overlooks is met in `begin`. From one
 * issuer to the next by the index of what waits: it does not matter how many wait for each.
 */
export async function openOnes(tx: Transaction): Promise<readonly Open[]> {
  return tx.$queryRaw<Open[]>`
    WITH RECURSIVE "open" AS (
      SELECT m."id", m."createdAt", f."liftedAt" IS NULL AND m."pausedAt" IS NULL AS "mayBegin",
        m."gatheredAt" <= statement_timestamp() - ${gatherEvery}::interval AS "isStale"
      FROM "mass_revocation" m JOIN "freeze" f ON f."id" = m."freezeId"
      WHERE m."closedAt" IS NULL AND NOT EXISTS (
        SELECT FROM "ledger_restore" r WHERE r."resumedAt" IS NULL AND r."detectedAt" > m."createdAt")),
    "waited"("id", "issuer") AS (
      SELECT "id", '' FROM "open"
      UNION ALL
      SELECT w."id", (
        SELECT s."issuer" FROM "mass_revocation_subject" s
        WHERE s."massRevocationId" = w."id" AND s."state" = 'waiting' AND s."issuer" > w."issuer"
        ORDER BY s."issuer", s."exposure", s."identityId" LIMIT 1)
      FROM "waited" w WHERE w."issuer" IS NOT NULL)
    SELECT o."id", o."mayBegin", "issuers"."waitedFor", o."isStale" OR ("issuers"."waitedFor" = '{}' AND NOT EXISTS (
        SELECT FROM "mass_revocation_subject" s WHERE s."massRevocationId" = o."id" AND s."state" = 'begun')) AS "isGatherDue"
    FROM "open" o CROSS JOIN LATERAL (
      SELECT ARRAY(SELECT w."issuer" FROM "waited" w WHERE w."id" = o."id" AND w."issuer" <> '') AS "waitedFor") AS "issuers"
    ORDER BY o."createdAt", o."id"`;
}

/** Effect: as many waiting subjects as each issuer's limits leave room for are begun, the most exposed first. */
export async function reserve(
  tx: Transaction,
  massRevocations: readonly Open[],
  paceOf: (issuer: string) => RevocationPace,
): Promise<void> {
  for (const issuer of new Set(massRevocations.flatMap(({ waitedFor }) => waitedFor))) {
    const room = roomFor(paceOf(issuer), await loadOf(tx, issuer));
    if (room === 0) continue;
    const ids = massRevocations.filter(({ waitedFor }) => waitedFor.includes(issuer)).map(({ id }) => id);
    await tx.$executeRaw`
      UPDATE "mass_revocation_subject" SET "state" = 'begun', "begunAt" = clock_timestamp(), "nextAttemptAt" = clock_timestamp()
      WHERE ("massRevocationId", "identityId") IN (
        SELECT "next"."massRevocationId", "next"."identityId"
        FROM unnest(${ids}::text[]) AS m("id") CROSS JOIN LATERAL (
          SELECT s."massRevocationId", s."identityId", s."exposure" FROM "mass_revocation_subject" s
          WHERE s."massRevocationId" = m."id" AND s."state" = 'waiting' AND s."issuer" = ${issuer}
          ORDER BY s."exposure", s."identityId" LIMIT ${room}) AS "next"
        ORDER BY "next"."exposure", "next"."identityId", "next"."massRevocationId" LIMIT ${room})`;
  }
}

async function loadOf(tx: Transaction, issuer: string): Promise<IssuerLoad> {
  const [load] = await tx.$queryRaw<IssuerLoad[]>`
    SELECT (count(*) FILTER (WHERE NOT ${isStuck}))::int AS "underWay", (count(*) FILTER (WHERE ${isStuck}))::int AS "stuck",
      (SELECT count(*) FROM "mass_revocation_subject"
        WHERE "issuer" = ${issuer} AND "begunAt" > statement_timestamp() - interval '1 second')::int AS "justBegun"
    FROM "mass_revocation_subject" s LEFT JOIN "request" r ON r."id" = s."requestId"
    WHERE s."state" = 'begun' AND s."issuer" = ${issuer}`;
  if (load === undefined) throw new TypeError('PostgreSQL answered an aggregate with no row.');
  return load;
}
