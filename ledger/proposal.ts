import type { Parties } from '../domain/decisions.ts';
import type { ReviewProposal } from '../domain/flow/review.ts';

/** The part of a request's row that only reviews fill. */
export interface Proposing {
  readonly proposal?: unknown;
}

/** What a review request would change; undefined for the other kinds. */
export function proposalOf({ proposal }: Proposing): ReviewProposal | undefined {
  return (proposal ?? undefined) as ReviewProposal | undefined;
}

/** The same as a member that is left out where there is none. */
export function proposed(request: Proposing): { readonly proposal?: ReviewProposal } {
  const proposal = proposalOf(request);
  return proposal === undefined ? {} : { proposal };
}

/** Who owns the subject, and who would after the review. */
export function ownersOf(ownerId: string, request: Proposing): Pick<Parties, 'ownerId' | 'newOwnerId'> {
  const newOwnerId = proposalOf(request)?.newOwner;
  return newOwnerId === undefined ? { ownerId } : { ownerId, newOwnerId };
}
