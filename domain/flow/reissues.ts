import type { Draft } from './draft.ts';
import type { ReissueFacts } from './state.ts';

/**
 * What reviews ordered to be re-issued (DESIGN section 5, Rotation): owed until a version above all that existed then is
 * promoted, whichever request promotes it, and whatever becomes of the one that carries the order. Only a responder undoes it.
 */

/** Version that an order replaces: it may be known to somebody who should not know it. */
export function isSuspected({ reissues }: { readonly reissues: readonly ReissueFacts[] }, version: number): boolean {
  return reissues.some(({ highestVersion }) => version <= highestVersion);
}

/** A version was promoted: whatever was owed below it is delivered. */
export function deliverReissues(draft: Draft, version: number): void {
  for (const { id, highestVersion, isOwed } of draft.facts.reissues)
    if (isOwed && highestVersion < version) draft.change({ change: 'deliver-reissue', order: id, version });
}

/** A responder ended what carried them: they are owed no more. */
export function waiveReissues(
  draft: Draft,
  orders: readonly ReissueFacts[],
  { by, reason }: { readonly by: string; readonly reason: string },
): void {
  for (const { id } of orders) draft.change({ change: 'waive-reissue', order: id, by, reason });
}

/** The orders that this request is to carry out, and has not. */
export function carriedReissues({ facts }: Pick<Draft, 'facts'>): readonly ReissueFacts[] {
  return facts.reissues.filter(({ isOwed, carriedBy }) => isOwed && carriedBy === facts.request.id);
}
