import type { Change } from '../domain/flow/changes.ts';
import { reviewOpensAt } from '../domain/flow/review.ts';
import { identityAt, type Place } from './applyChange.ts';
import { setDue } from './dueWork.ts';
import { enqueue } from './outbox.ts';
import { orderReissue } from './reissueOrders.ts';
import { updateRow } from './rows.ts';
import type { Statements } from './statements.ts';

type CompleteReview = Extract<Change, { change: 'complete-review' }>;

/**
 * Effect: all of a completed review: scopes and owner, the thaw from its freezes, the date of the next one, word to what
 * was held, and the rotation that was asked for. Part of the caller's transaction, under the locks of `gatherFacts`.
 */
export async function completeReview(tx: Statements, place: Place, change: CompleteReview): Promise<void> {
  const { requestId, now } = place;
  const identityId = identityAt(place);
  const { scopes, newOwner, thaws } = change;
  const reviewed = {
    ...(scopes === undefined ? {} : { scopes: [...scopes] }),
    ...(newOwner === undefined ? {} : { ownerId: newOwner }),
  };
  await Promise.all([
    ...(Object.keys(reviewed).length === 0 ? [] : [updateRow(tx, 'identity', { id: identityId }, reviewed)]),
    tx.$executeRaw`
      INSERT INTO "freeze_subject" ("freezeId", "identityId", "thawedAt", "reviewRequestId")
      SELECT "freezeId", ${identityId}::text, ${now}::timestamptz, ${requestId}::text FROM unnest(${[...thaws]}::text[]) AS "thawed"("freezeId")
      ON CONFLICT ("freezeId", "identityId") DO UPDATE
        SET "thawedAt" = excluded."thawedAt", "reviewRequestId" = excluded."reviewRequestId"`,
    scheduleReview(tx, { identityId, by: new Date(change.reviewBy), now }),
    tx.$executeRaw`
      INSERT INTO "outbox_message" ("kind", "payload")
      SELECT 'nudge', jsonb_build_object('kind', 'nudge', 'requestId', "id") FROM "request"
      WHERE "identityId" = ${identityId} AND "id" <> ${requestId} AND "finishedAt" IS NULL ORDER BY "id"`,
    ...(change.reissue
      ? [
          orderReissue(tx, { reviewRequestId: requestId, identityId, highestVersion: change.highestVersion, at: now }),
          enqueue(tx, { kind: 'reissue', requestId }),
        ]
      : []),
  ]);
}

/** Effect: the owner is asked ahead of the date, and what is not reviewed by then is missed. */
export async function scheduleReview(
  tx: Statements,
  { identityId, by, now }: { identityId: string; by: Date; now: Date },
): Promise<void> {
  await Promise.all([
    setDue(tx, 'review', identityId, reviewOpensAt(by, now)),
    setDue(tx, 'review-missed', identityId, by),
  ]);
}
