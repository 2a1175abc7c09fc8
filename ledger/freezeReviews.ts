import type { OpenOrder, OpenResult } from '../domain/flow/open.ts';
import type { ReviewProposal } from '../domain/flow/review.ts';
import { ownKey } from '../domain/ownKey.ts';
import type { FreezeReviewOrder } from '../prisma/generated/client.ts';
import type { Ledger } from './client.ts';
import { databaseClock } from './databaseClock.ts';
import { setDue } from './dueWork.ts';
import { appendEvidence } from './evidence.ts';
import { isFrozenSubject } from './freezeSubjects.ts';
import { openMassRevocation } from './massRevocations.ts';
import { findPersonNow } from './people.ts';

/**
 * A responder has every subject of a freeze asked for its review. A row alone, Temporal up or down; the lifecycle opens one
 * review after another (activities/freezeReviews.ts), each an ordinary request.
 */

const principal = 'system:lifecycle';

export interface ReviewsAsked {
  readonly id: string;
  readonly freezeId: string;
  readonly by: string;
  readonly reason: string;
  readonly proposal: Pick<ReviewProposal, 'newOwner' | 'reissue'>;
}

export type ReviewsOrdered =
  | { readonly ordered: true }
  | {
      readonly ordered: false;
      readonly slug: 'not-found' | 'freeze-lifted' | 'mass-revocation-running' | 'owner-not-valid';
      readonly detail: string;
    };

/**
 * Effect: from this commit on the lifecycle asks for the review of each active subject that no review has let go. A later
 * order takes the place of an earlier one, and asks again whoever has not been let go by then. Idempotent by id.
 */
export async function orderFreezeReviews(ledger: Ledger, asked: ReviewsAsked): Promise<ReviewsOrdered> {
  const { id, freezeId, by, reason, proposal } = asked;
  return ledger.prisma.$transaction(async (tx): Promise<ReviewsOrdered> => {
    const [freeze] = await tx.$queryRaw<{ liftedAt: Date | null }[]>`
      SELECT "liftedAt" FROM "freeze" WHERE "id" = ${freezeId} FOR NO KEY UPDATE`;
    if (freeze === undefined) return { ordered: false, slug: 'not-found', detail: `There is no freeze ${freezeId}.` };
    if ((await tx.freezeReviewOrder.count({ where: { id } })) > 0) return { ordered: true };
    if (freeze.liftedAt !== null) {
      const detail = `Freeze ${freezeId} was lifted at ${freeze.liftedAt.toISOString()}: it holds nobody who could be reviewed for it.`;
      return { ordered: false, slug: 'freeze-lifted', detail };
    }
    const massRevocation = await openMassRevocation(tx, freezeId);
    if (massRevocation !== undefined) {
      const detail = `Mass revocation ${massRevocation.id} revokes what freeze ${freezeId} holds. Review those that it does not: POST /v1/identities/{id}/reviews.`;
      return { ordered: false, slug: 'mass-revocation-running', detail };
    }
    const { newOwner } = proposal;
    if (newOwner !== undefined && (await findPersonNow(tx, newOwner))?.active !== true) {
      const detail = `${newOwner} is not an active person of the directory. Name an owner who is.`;
      return { ordered: false, slug: 'owner-not-valid', detail };
    }
    const createdAt = await databaseClock(tx);
    await tx.freezeReviewOrder.create({
      data: { id, freezeId, orderedBy: by, reason, proposal: { ...proposal }, createdAt },
    });
    await setDue(tx, 'freeze-reviews', id, createdAt);
    await appendEvidence(tx, ledger.evidence, [
      {
        chain: `freeze/${freezeId}`,
        kind: 'freeze.reviews-ordered',
        actor: by,
        at: createdAt,
        data: { freezeId, order: id, reason, ...proposal },
      },
    ]);
    return { ordered: true };
  });
}

/**
 * The next subjects of this order that were not asked yet, in id order; none when all were, when a later order has taken its
 * place, or when the freeze holds nobody any more.
 */
export async function nextUnasked(
  { prisma }: Pick<Ledger, 'prisma'>,
  orderId: string,
  limit: number,
): Promise<{ readonly order: FreezeReviewOrder; readonly identityIds: readonly string[] }> {
  const order = await prisma.freezeReviewOrder.findUniqueOrThrow({ where: { id: orderId } });
  const rows = await prisma.$queryRaw<{ id: string }[]>`
    SELECT i."id" FROM "freeze" f JOIN "identity" i ON ${isFrozenSubject}
    WHERE f."id" = ${order.freezeId} AND f."liftedAt" IS NULL AND i."state" = 'active'
      AND ${orderId} = (
        SELECT o."id" FROM "freeze_review_order" o WHERE o."freezeId" = f."id" ORDER BY o."createdAt" DESC, o."id" DESC LIMIT 1)
      AND NOT EXISTS (SELECT FROM "freeze_review" v WHERE v."orderId" = ${orderId} AND v."identityId" = i."id")
    ORDER BY i."id" LIMIT ${limit}`;
  return { order, identityIds: rows.map(({ id }) => id) };
}

/** The review of one subject: of one key, so that it is opened once however often it is ordered, and for whoever ordered it. */
export function reviewOf(
  { id, freezeId, orderedBy, reason, proposal }: FreezeReviewOrder,
  identityId: string,
): OpenOrder {
  return {
    ...ownKey(principal, `freeze-review/${id}/${identityId}`),
    kind: 'review',
    identityId,
    principalKind: 'system',
    onBehalfOf: orderedBy,
    trigger: 'incident',
    justification: reason,
    proposal: { ...(proposal as unknown as ReviewsAsked['proposal']), freezeId },
  };
}

/** Effect: this subject was asked, and how it was answered. Idempotent. */
export async function recordAsked(
  { prisma }: Pick<Ledger, 'prisma'>,
  { orderId, identityId, result }: { orderId: string; identityId: string; result: OpenResult },
): Promise<void> {
  const answer = result.opened ? { requestId: result.requestId } : { refusal: `${result.slug}: ${result.detail}` };
  await prisma.freezeReview.createMany({ data: [{ orderId, identityId, ...answer }], skipDuplicates: true });
}
