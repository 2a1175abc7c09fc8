import { createHash } from 'node:crypto';
import type { Statements } from './statements.ts';

/** How many of them one sweep forgets at most. */
const sweptAtOnce = 10_000;

/**
 * Effect: this value counts as used. Of any number of callers at once, in all processes, one is told that it was the first;
 * a caller in a transaction that rolls back has not used it.
 * @param purpose values of different purposes never meet
 * @param until when it may be forgotten: not before it would be refused anyway
 * @returns false when it was used before
 */
export async function useOnce(
  prisma: Pick<Statements, '$executeRaw'>,
  { purpose, value, until }: { purpose: string; value: string; until: Date },
): Promise<boolean> {
  // JSON keeps the parts apart.
  const digest = createHash('sha256')
    .update(JSON.stringify([purpose, value]), 'utf8')
    .digest();
  const count = await prisma.$executeRaw`
    INSERT INTO "single_use" ("digest", "expiresAt") VALUES (${digest}, ${until}) ON CONFLICT DO NOTHING`;
  return count === 1;
}

/** Effect: forgets values that may be forgotten, a bounded number of them. Idempotent. @returns whether there may be more */
export async function sweepSingleUses(prisma: Pick<Statements, '$executeRaw'>): Promise<boolean> {
  const count = await prisma.$executeRaw`
    DELETE FROM "single_use" WHERE "digest" IN (
      SELECT "digest" FROM "single_use" WHERE "expiresAt" < clock_timestamp()
      ORDER BY "expiresAt" LIMIT ${sweptAtOnce}::int FOR UPDATE SKIP LOCKED)`;
  return count === sweptAtOnce;
}
