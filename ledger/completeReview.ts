import type { Change } from '../domain/flow/changes.ts';
import { reviewOpensAt } from '../domain/flow/review.ts';
import { identityAt, type Place } from './applyChange.ts';
import type { Transaction } from './client.ts';
import { setDue } from './dueWork.ts';
import { enqueue } from './outbox.ts';

type CompleteReview = Extract<Change, { change: 'complete-review' }>;

/**
 * Effect: all of a completed review: scopes and owner, the thaw from its freezes, the date of the next one, word to what
 * was held, and the rotation that was asked for. Part of the caller's transaction, under the locks of `gatherFacts`.
 */
export async function completeReview(tx: Transaction, place: Place, change: CompleteReview): Promise<void> {
  const { requestId, now } = place;
  const identityId = identityAt(place);
  const { scopes, newOwner, thaws, reissue } = change;
  await tx.identity.update({
    where: { id: identityId },
    data: {
      ...(scopes === undefined ? {} : { scopes: [...scopes] }),
      ...(newOwner === undefined ? {} : { ownerId: newOwner }),
    },
  });
  for (const freezeId of thaws) {
    const thaw = { thawedAt: now, reviewRequestId: requestId };
    await tx.freezeSubject.upsert({
      where: { freezeId_identityId: { freezeId, identityId } },
      create: { freezeId, identityId, ...thaw },
      update: thaw,
    });
  }
  await scheduleReview(tx, { identityId, by: new Date(change.reviewBy), now });
  const held = await tx.request.findMany({
    where: { identityId, id: { not: requestId }, finishedAt: null },
    orderBy: { id: 'asc' },
    select: { id: true },
  });
  for (const { id } of held) await enqueue(tx, { kind: 'nudge', requestId: id });
  if (reissue) await enqueue(tx, { kind: 'reissue', requestId });
}

/** Effect: the owner is asked ahead of the date, and what is not reviewed by then is missed. */
export async function scheduleReview(
  tx: Transaction,
  { identityId, by, now }: { identityId: string; by: Date; now: Date },
): Promise<void> {
  await setDue(tx, 'review', identityId, reviewOpensAt(by, now));
  await setDue(tx, 'review-missed', identityId, by);
}
