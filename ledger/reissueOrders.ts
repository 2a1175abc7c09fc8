import type { OpenOrder } from '../domain/flow/open.ts';
import { Prisma } from '../prisma/generated/client.ts';
import type { Ledger } from './client.ts';
import { type Refusal, refuse } from './openRefusal.ts';
import type { Statements } from './statements.ts';

/**
 * The order of a completed review to replace the credential: owed until a version above all that existed then is promoted
 * (domain/flow/reissues.ts), whatever becomes of the rotation that carries it.
 */

/** Who opens what an order wants. */
export const reissuer = 'system:review';

/** How long the outbox has the opening to itself before the lifecycle asks too. */
const firstLook = Prisma.sql`interval '2 minutes'`;

/** Of an order `o`: neither delivered nor waived. Whether its identity may still be issued to is asked beside it. */
export const isOwed = Prisma.sql`(o."deliveredAt" IS NULL AND o."waivedAt" IS NULL)`;

/** Effect: it is owed from this transaction on, which holds the lock of the identity. */
export function orderReissue(
  tx: Statements,
  asked: { reviewRequestId: string; identityId: string; highestVersion: number; at: Date },
): Promise<unknown> {
  const { reviewRequestId, identityId, highestVersion, at } = asked;
  return tx.$executeRaw`
    INSERT INTO "reissue_order" ("reviewRequestId", "identityId", "highestVersion", "orderedAt", "dueAt")
    VALUES (${reviewRequestId}, ${identityId}, ${highestVersion}::int, ${at}, ${at}::timestamptz + ${firstLook})`;
}

/**
 * Effect: the same for a review that a worker of the previous release completed, which knows nothing of this table. Versions
 * from after the review do not count as suspected. Idempotent.
 */
export async function ensureOrdered({ direct }: Pick<Ledger, 'direct'>, reviewRequestId: string): Promise<void> {
  await direct.$executeRaw`
    INSERT INTO "reissue_order" ("reviewRequestId", "identityId", "highestVersion", "orderedAt", "dueAt")
    SELECT r."id", r."identityId", coalesce((SELECT max(c."version") FROM "credential" c
        WHERE c."identityId" = r."identityId" AND c."createdAt" <= r."finishedAt"), 0), r."finishedAt", clock_timestamp() + ${firstLook}
    FROM "request" r WHERE r."id" = ${reviewRequestId} AND r."kind" = 'review' AND r."state" = 'completed'
    ON CONFLICT DO NOTHING`;
}

export interface OwedReissue {
  readonly reviewRequestId: string;
  readonly identityId: string;
  /** How often it was claimed, this time included. */
  readonly attempts: number;
}

/**
 * Claims orders that are owed and that no open request carries, of identities that may be issued to. Claiming pushes the
 * order by a backoff with jitter, as of all due work.
 */
export async function claimOwedReissues(
  { prisma }: Pick<Ledger, 'prisma'>,
  limit: number,
): Promise<readonly OwedReissue[]> {
  return prisma.$queryRaw<OwedReissue[]>`
    UPDATE "reissue_order" SET
      "attempts" = "attempts" + 1,
      "dueAt" = clock_timestamp() + make_interval(secs => least(60 * power(2, "attempts"), 86400) * (0.75 + random() / 2))
    WHERE "reviewRequestId" IN (
      SELECT o."reviewRequestId" FROM "reissue_order" o JOIN "identity" i ON i."id" = o."identityId" AND i."state" = 'active'
      WHERE o."dueAt" <= statement_timestamp() AND ${isOwed} AND NOT EXISTS (
        SELECT FROM "request" r WHERE r."id" = o."requestId" AND r."finishedAt" IS NULL)
      ORDER BY o."dueAt" LIMIT ${limit} FOR UPDATE OF o SKIP LOCKED)
    RETURNING "reviewRequestId", "identityId", "attempts"`;
}

/**
 * Under which trigger an order is opened. An order comes through Temporal, whose word would let anything supersede what
 * waits: as an incident counts only what the ledger itself owes, under the trigger of the review that ordered it.
 */
export async function triggerOf(
  tx: Statements,
  { identityId, principal, trigger, reissues }: OpenOrder,
): Promise<OpenOrder['trigger'] | Refusal> {
  if (reissues === undefined) return trigger;
  const [order] = await tx.$queryRaw<{ trigger: OpenOrder['trigger']; isOwed: boolean }[]>`
    SELECT r."trigger", ${isOwed} AS "isOwed" FROM "reissue_order" o JOIN "request" r ON r."id" = o."reviewRequestId"
    WHERE o."reviewRequestId" = ${reissues} AND o."identityId" = ${identityId}`;
  if (order === undefined || principal !== reissuer)
    return refuse('not-found', `The ledger holds no order of review ${reissues} to re-issue identity ${identityId}.`);
  if (!order.isOwed) return refuse('nothing-owed', `What review ${reissues} ordered has been delivered, or waived.`);
  return order.trigger;
}

/** Effect: this request carries the order out. Under the lock of the identity. */
export async function carryReissue(tx: Statements, reviewRequestId: string, requestId: string): Promise<void> {
  await tx.$executeRaw`
    UPDATE "reissue_order" SET "requestId" = ${requestId} WHERE "reviewRequestId" = ${reviewRequestId}`;
}

/**
 * Effect: a rotation that somebody asked for has ended without one. Whatever fell due meanwhile and met it is asked for
 * again at once, and not after a backoff.
 */
export async function fallDueAgain(tx: Statements, identityId: string, now: Date): Promise<void> {
  await Promise.all([
    tx.$executeRaw`
      UPDATE "due_work" SET "dueAt" = least("dueAt", ${now}::timestamptz)
      WHERE "kind" = 'rotation' AND "subjectId" = ${identityId} AND "attempts" > 0`,
    tx.$executeRaw`
      UPDATE "reissue_order" o SET "dueAt" = least("dueAt", ${now}::timestamptz)
      WHERE "identityId" = ${identityId} AND ${isOwed}`,
  ]);
}
