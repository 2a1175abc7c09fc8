import { type Approver, type Eligibility, notEligible, type Parties } from './decisions.ts';
import { durationMs } from './flow/duration.ts';
import type { RequesterKind } from './flow/facts.ts';
import type { IsoDuration, StepUpStage } from './flow/language.ts';

/**
 * Proofs: somebody proves afresh that it is them, and that they want exactly this. A proof is a decision with the verdict
 * `confirm`, signed and bound as every other, with the instant at which that person last signed in, or at which the agent
 * signed what it was shown.
 */

/** Who asked for the request. */
export interface Asker {
  readonly requesterId: string;
  readonly requesterKind: RequesterKind;
  /** Empty when nobody is known. */
  readonly onBehalfOf: string;
}

/** How far the clock of a sign-in provider may be ahead of ours. */
const clockToleranceMs = 10_000;

/** Whose proof the stage asks for; undefined when nobody is known: then it is never met. */
export function proverOf(
  { stepUp }: StepUpStage,
  { requesterId, requesterKind, onBehalfOf }: Asker,
  { ownerId, newOwnerId }: Pick<Parties, 'ownerId' | 'newOwnerId'>,
): string | undefined {
  const behind = onBehalfOf === '' ? undefined : onBehalfOf;
  switch (stepUp.by) {
    case 'requester':
      return requesterKind === 'person' ? requesterId : behind;
    case 'onBehalfOf':
      return behind;
    case 'agent':
      return requesterKind === 'agent' ? requesterId : undefined;
    // As for approvals: of a review that names a new owner, that person.
    case 'owner':
      return newOwnerId ?? ownerId;
  }
}

/** Whether this person's, or this agent's, proof counts at this stage now. Pure: the API asks before signing, `advance` again under the lock. */
export function mayProve(person: Approver, stage: StepUpStage, prover: string | undefined): Eligibility {
  if (!person.active) return notEligible(`${person.id} is not active.`);
  if (person.id === prover) return { may: true };
  const asked = prover ?? 'somebody who is not known, so that nobody can give it';
  return notEligible(`Stage ${stage.id} asks for the proof of ${asked}, and ${person.id} is somebody else.`);
}

/**
 * Whether a sign-in is recent enough for a proof that is given now.
 * @param authenticatedAt RFC 3339, by the provider's clock; undefined when the provider did not say
 */
export function isFresh(
  authenticatedAt: string | undefined,
  { maxAge, nowMs }: { readonly maxAge: IsoDuration; readonly nowMs: number },
): boolean {
  if (authenticatedAt === undefined) return false;
  const ageMs = nowMs - Date.parse(authenticatedAt);
  return ageMs >= -clockToleranceMs && ageMs <= durationMs(maxAge);
}

/** Why a proof by such a sign-in is refused, and what to do (RFC 9470). */
export function staleSignIn({ id, stepUp }: StepUpStage, authenticatedAt: string | undefined): string {
  const signedIn =
    authenticatedAt === undefined
      ? 'Your token does not say when you signed in (auth_time)'
      : `You signed in at ${authenticatedAt}`;
  return `${signedIn}; stage ${id} takes a sign-in of at most ${stepUp.maxAge} ago. Sign in again, then prove it with the new token.`;
}
