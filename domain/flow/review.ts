import { type Draft, instant } from './draft.ts';
import { durationMs } from './duration.ts';
import { identityFactsOf } from './facts.ts';
import type { Flow, IsoDuration } from './language.ts';
import { recheck } from './stages.ts';
import type { Hold } from './state.ts';

/** Reviews: the owner attests, the scope is approved anew, and what the incident or the leaving held goes on. */

/** What a review would change. Approvers are shown it, and their decisions are bound to it. */
export interface ReviewProposal {
  /** The freeze that the subject thaws from. */
  readonly freezeId?: string;
  /** What is left of the scopes; never more than there was. */
  readonly scopes?: readonly string[];
  /** Who is to own it: attests in the present owner's place. */
  readonly newOwner?: string;
  /** A rotation follows, so that what was issued before is replaced. */
  readonly reissue: boolean;
}

/** How often an identity is reviewed unless its flow says otherwise. */
export const defaultReviewEvery: IsoDuration = 'P90D';

/** RFC 3339: by when the next review must be complete, counted from now. */
export function reviewBy(flow: Flow, nowMs: number): string {
  return instant(nowMs + durationMs(flow.limits.reviewEvery ?? defaultReviewEvery));
}

const longestLeadMs = 14 * 24 * 3600 * 1000;

/** When the owner is asked for a review that must be complete by then: two weeks ahead, or half way when that is sooner. */
export function reviewOpensAt(by: Date, now: Date): Date {
  const leadMs = Math.min(longestLeadMs, (by.getTime() - now.getTime()) / 2);
  return new Date(by.getTime() - leadMs);
}

/**
 * The `review` effect: every check again, then all of it in this transaction. Needs no issuer and no store, and no hold
 * stops it. Returns true when the stage is passed; on false the request was denied or sent back by a check.
 */
export function settleReview(draft: Draft): boolean {
  if (!recheck(draft)) return false;
  const { request, holds } = draft.facts;
  const guardFacts = identityFactsOf(draft.facts.guardFacts);
  const { freezeId, scopes, newOwner, reissue } = request.proposal ?? { reissue: false };
  // Whatever the flow's own stages ask: nobody who has left becomes an owner.
  if (newOwner !== undefined && !guardFacts.owner.active) {
    draft.finish('denied', 'owner-not-valid');
    return false;
  }
  const answered = holds.filter((hold) => isAnsweredBy(hold, { freezeId, newOwner }));
  // From a freeze whose subjects a responder wants re-issued, no review lets one go without.
  const isReissued = reissue || answered.some((hold) => hold.kind === 'freeze' && hold.ordersReissue === true);
  draft.change({
    change: 'complete-review',
    // Narrowed further since it was proposed, it stays narrow.
    ...(scopes === undefined ? {} : { scopes: guardFacts.subject.scopes.filter((scope) => scopes.includes(scope)) }),
    ...(newOwner === undefined ? {} : { newOwner }),
    thaws: answered.map(({ id }) => id),
    ...(isReissued ? { reissue: true, highestVersion: draft.identity.highestVersion } : { reissue: false }),
    reviewBy: reviewBy(draft.flow, draft.nowMs),
  });
  return true;
}

/** The freeze it names, and what Tenure froze for want of just this: a review, or an owner. */
function isAnsweredBy(
  hold: Hold,
  { freezeId, newOwner }: { freezeId: string | undefined; newOwner: string | undefined },
): boolean {
  if (hold.kind !== 'freeze') return false;
  if (hold.cause === 'review-missed') return true;
  return hold.id === freezeId || (hold.cause === 'owner-gone' && newOwner !== undefined);
}
