import { failuresUntilStuck } from '../domain/flow/steps.ts';
import { Prisma } from '../prisma/generated/client.ts';
import type { Transaction } from './client.ts';
import { isFrozenSubject, isUsable } from './freezeSubjects.ts';
import { isRevocable } from './revocable.ts';
import type { Statements } from './statements.ts';

/** Whom a mass revocation is about. Fragments speak of its subject `s` and the request `r` of that subject's revocation. */

/** Failed so often that somebody must look. It is tried on without end, and leaves its slot to others (`roomFor`). */
export const isStuck = Prisma.sql`(coalesce(r."state" = 'stuck', false)
  OR (s."requestId" IS NULL AND s."attempts" >= ${failuresUntilStuck}))`;

/**
 * Effect: every subject of the freeze that is not known yet waits from now on. Subjects are those of `isFrozenSubject`:
 * who was relabelled stays one, who was let go by a review is none. Idempotent.
 * @returns how many are new
 */
export async function gatherSubjects(
  tx: Transaction,
  { id, freezeId }: { id: string; freezeId: string },
): Promise<number> {
  const gathered = await tx.$executeRaw`
    INSERT INTO "mass_revocation_subject" ("massRevocationId", "identityId", "issuer", "exposure")
    SELECT ${id}, i."id", i."issuer", CASE
        WHEN EXISTS (SELECT FROM "credential" c WHERE c."identityId" = i."id" AND ${isUsable}) THEN 0
        WHEN EXISTS (SELECT FROM "credential" c WHERE c."identityId" = i."id" AND c."state" <> 'destroyed') THEN 1
        ELSE 2 END
    FROM "freeze" f JOIN "identity" i ON ${isRevocable} AND ${isFrozenSubject}
    WHERE f."id" = ${freezeId} AND f."liftedAt" IS NULL
      AND NOT EXISTS (
        SELECT FROM "mass_revocation_subject" s WHERE s."massRevocationId" = ${id} AND s."identityId" = i."id")
    ON CONFLICT DO NOTHING`;
  await tx.$executeRaw`UPDATE "mass_revocation" SET "gatheredAt" = clock_timestamp() WHERE "id" = ${id}`;
  return gathered;
}

/** Effect: who waits is not revoked by it any more. @returns how many that were */
export async function letGoWaiting(tx: Transaction, massRevocationId: string): Promise<number> {
  return tx.$executeRaw`
    UPDATE "mass_revocation_subject" SET "state" = 'let-go', "finishedAt" = clock_timestamp()
    WHERE "massRevocationId" = ${massRevocationId} AND "state" = 'waiting'`;
}

/** Effect: subjects whose revocation is complete, every credential destroyed, are finished. */
export async function settleFinished(tx: Transaction): Promise<number> {
  return tx.$executeRaw`
    UPDATE "mass_revocation_subject" s SET "state" = 'finished', "finishedAt" = r."finishedAt"
    FROM "request" r
    WHERE s."state" = 'begun' AND r."id" = s."requestId" AND r."finishedAt" IS NOT NULL AND NOT r."owesDestroys"`;
}

/** Whether the freeze still wants this identity revoked, and whether anything is left to revoke. */
export async function standingOf(
  tx: Statements,
  { freezeId, identityId }: { freezeId: string; identityId: string },
): Promise<'revocable' | 'revoked' | 'let-go'> {
  const [row] = await tx.$queryRaw<{ isRevocable: boolean; isWanted: boolean }[]>`
    SELECT ${isRevocable} AS "isRevocable", f."liftedAt" IS NULL AND ${isFrozenSubject} AS "isWanted"
    FROM "freeze" f, "identity" i WHERE f."id" = ${freezeId} AND i."id" = ${identityId}`;
  if (row === undefined) throw new TypeError(`Freeze ${freezeId} or identity ${identityId} is not in this ledger.`);
  if (!row.isRevocable) return 'revoked';
  return row.isWanted ? 'revocable' : 'let-go';
}
