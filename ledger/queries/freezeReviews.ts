import { type FreezeReviewOrder, Prisma } from '../../prisma/generated/client.ts';
import type { Transaction } from '../client.ts';
import { isFrozenSubject, isSubject } from '../freezeSubjects.ts';

/** How one subject of an order stands. `ended` is a review that is over and has not let it go: denied, expired, cancelled. */
export type ReviewStanding = MissingStanding | 'thawed';
/** Of those that were not let go: whoever needs a person first. */
export const missingStandings = ['refused', 'ended', 'open', 'waiting'] as const;
type MissingStanding = (typeof missingStandings)[number];

export interface MissingReview {
  readonly identityId: string;
  readonly identityName: string;
  readonly ownerId: string;
  readonly standing: MissingStanding;
  readonly requestId: string | null;
  /** Why it was refused, or the reason with which it ended. */
  readonly because: string | null;
}

export interface FreezeReviews {
  readonly order: FreezeReviewOrder;
  readonly counts: Readonly<Record<ReviewStanding, number>>;
  /** Who has not been let go, in the order of `missingStandings`. The first 50. */
  readonly missing: readonly MissingReview[];
}

const shown = 50;

/** The newest order of reviews of a freeze, counted live; undefined when there is none. */
export async function findFreezeReviews(ledger: Transaction, freezeId: string): Promise<FreezeReviews | undefined> {
  const order = await ledger.freezeReviewOrder.findFirst({
    where: { freezeId },
    orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
  });
  if (order === null) return undefined;
  const subjects = Prisma.sql`(
    SELECT i."id" AS "identityId", i."name" AS "identityName", i."ownerId", v."requestId",
      coalesce(v."refusal", CASE WHEN r."finishedAt" IS NOT NULL THEN coalesce(r."reason", r."state") END) AS "because",
      CASE
        WHEN NOT ${isFrozenSubject} THEN 'thawed'
        WHEN v."identityId" IS NULL THEN 'waiting'
        WHEN v."refusal" IS NOT NULL THEN 'refused'
        WHEN r."finishedAt" IS NULL THEN 'open'
        ELSE 'ended' END AS "standing"
    FROM "freeze" f JOIN "identity" i ON ${isSubject} AND i."state" = 'active'
      LEFT JOIN "freeze_review" v ON v."orderId" = ${order.id} AND v."identityId" = i."id"
      LEFT JOIN "request" r ON r."id" = v."requestId"
    WHERE f."id" = ${freezeId})`;
  const [counted, missing] = await Promise.all([
    ledger.$queryRaw<{ standing: ReviewStanding; count: bigint }[]>`
      SELECT "standing", count(*) AS "count" FROM ${subjects} AS "subject" GROUP BY "standing"`,
    ledger.$queryRaw<MissingReview[]>`
      SELECT * FROM ${subjects} AS "subject" WHERE "standing" <> 'thawed'
      ORDER BY array_position(${[...missingStandings]}::text[], "standing"), "identityId" LIMIT ${shown}`,
  ]);
  const count = (standing: ReviewStanding) => Number(counted.find((row) => row.standing === standing)?.count ?? 0);
  return {
    order,
    counts: {
      waiting: count('waiting'),
      open: count('open'),
      thawed: count('thawed'),
      ended: count('ended'),
      refused: count('refused'),
    },
    missing,
  };
}
