import { type Eligibility, mayDecide, type Parties } from '../domain/decisions.ts';
import { authorsOf, jointAuthor } from '../domain/flow/authors.ts';
import { durationMs } from '../domain/flow/duration.ts';
import type { StepUpStage } from '../domain/flow/language.ts';
import type { ProblemSlug } from '../domain/problems.ts';
import { isFresh, mayProve, proverOf, staleSignIn } from '../domain/proofs.ts';
import { isFinalRequestState, requestStates } from '../domain/states.ts';
import type { RequestSituation } from '../ledger/queries/requests.ts';
import type { Principal } from './auth/principal.ts';

export type Standing =
  | { readonly may: true }
  | { readonly may: false; readonly slug: ProblemSlug; readonly detail: string };

/**
 * Whether this principal may decide on the request now, asked before anything is signed. `advance` asks again under the
 * lock, and everyone counted once more when the stage closes: this answer only spares a useless attempt.
 */
export function eligibilityOf(request: RequestSituation, principal: Principal): Standing {
  const closed = closedTo(request);
  if (closed !== undefined) return closed;
  const { stage } = request;
  if (stage === undefined || !('approval' in stage))
    return refusal('not-awaiting-approval', `Request ${request.id} is ${request.state}; no approval is open.`);
  if (principal.kind !== 'person') return refusal('not-eligible', `${principal.id} is no person; only people decide.`);
  const eligibility = mayDecide(personOf(principal), stage, partiesTo(principal, request.parties), request.escalated);
  return unlessDone(request, principal, stage.id, eligibility);
}

/** The same for a proof, whatever the age of this principal's sign-in. */
export function proofOf(request: RequestSituation, principal: Principal): Standing {
  const closed = closedTo(request);
  if (closed !== undefined) return closed;
  const { stage } = request;
  if (stage === undefined || !('stepUp' in stage))
    return refusal('not-awaiting-proof', `Request ${request.id} is ${request.state}; no proof is asked for.`);
  if (principal.kind === 'pipeline') return refusal('not-eligible', `${principal.id} is a pipeline; it cannot prove.`);
  const eligibility = mayProve(personOf(principal), stage, proverTo(principal, stage, request));
  return unlessDone(request, principal, stage.id, eligibility);
}

/**
 * The same for a proof by the sign-in of this call.
 * @param meant the stage that the proof is for: where the request stands when left out
 */
export function proofBySignIn(
  request: RequestSituation,
  principal: Principal,
  { stage: meant, now }: { readonly stage?: string; readonly now: Date },
): Standing {
  const standing = proofOf(request, principal);
  const { stage } = request;
  if (!standing.may || stage === undefined || !('stepUp' in stage)) return standing;
  if (meant !== undefined && meant !== stage.id)
    return refusal('not-awaiting-proof', `Request ${request.id} waits at stage ${stage.id}, not at ${meant}.`);
  const { authenticatedAt } = principal;
  return isFresh(authenticatedAt, { maxAge: stage.stepUp.maxAge, nowMs: now.getTime() })
    ? standing
    : refusal('insufficient-user-authentication', staleSignIn(stage, authenticatedAt));
}

/** How old a sign-in may be at this stage, whole seconds, as RFC 9470 `max_age` has it; undefined where no proof is asked for. */
export function maxAgeSeconds(stage: RequestSituation['stage']): number | undefined {
  return stage !== undefined && 'stepUp' in stage ? secondsOf(stage) : undefined;
}

const secondsOf = ({ stepUp }: StepUpStage): number => Math.floor(durationMs(stepUp.maxAge) / 1000);

function closedTo({ id, state: written }: RequestSituation): Standing | undefined {
  const state = requestStates.find((candidate) => candidate === written);
  if (state !== undefined && !isFinalRequestState(state)) return undefined;
  return refusal('request-closed', `Request ${id} is ${written}; nothing is left to decide.`);
}

/** The parties, whoever of them is this principal under another id by the one that it has now. */
function partiesTo({ id, ids }: Principal, parties: Parties): Parties {
  const now = (party: string): string => (ids.includes(party) ? id : party);
  const { requesters, onBehalfOf, ownerId, newOwnerId, flowAuthor } = parties;
  return {
    requesters: requesters.map(now),
    onBehalfOf: onBehalfOf.map(now),
    ...(ownerId === undefined ? {} : { ownerId: now(ownerId) }),
    ...(newOwnerId === undefined ? {} : { newOwnerId: now(newOwnerId) }),
    flowAuthor: jointAuthor(authorsOf(flowAuthor).map(now)),
  };
}

function proverTo(principal: Principal, stage: StepUpStage, { asker, parties }: RequestSituation): string | undefined {
  const prover = proverOf(stage, asker, parties);
  return prover !== undefined && principal.ids.includes(prover) ? principal.id : prover;
}

const personOf = ({ id, groups }: Principal) => ({ id, active: true, groups });

function unlessDone(
  { decisions, revision, voidBecause }: RequestSituation,
  { id, ids }: Principal,
  stage: string,
  eligibility: Eligibility,
): Standing {
  if (!eligibility.may) return refusal(eligibility.slug, eligibility.detail);
  const hasDecided = decisions.some(
    (decision) =>
      ids.includes(decision.approverId) &&
      decision.stage === stage &&
      decision.revision === revision &&
      decision.withdrawnAt === null &&
      voidBecause(decision) === undefined,
  );
  if (!hasDecided) return { may: true };
  return refusal(
    'already-decided',
    `${id} has decided on this revision of stage ${stage}. Withdraw first to change it.`,
  );
}

function refusal(slug: ProblemSlug, detail: string): Standing {
  return { may: false, slug, detail };
}
