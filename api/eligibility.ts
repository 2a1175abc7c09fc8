import { type Eligibility, mayDecide } from '../domain/decisions.ts';
import type { ProblemSlug } from '../domain/problems.ts';
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
  const state = requestStates.find((candidate) => candidate === request.state);
  if (state === undefined || isFinalRequestState(state))
    return refusal('request-closed', `Request ${request.id} is ${request.state}; nothing is left to decide.`);
  const { stage } = request;
  if (stage === undefined || !('approval' in stage))
    return refusal('not-awaiting-approval', `Request ${request.id} is ${request.state}; no approval is open.`);
  if (principal.kind !== 'person') return refusal('not-eligible', `${principal.id} is a pipeline; only people decide.`);
  const eligibility: Eligibility = mayDecide(
    { id: principal.id, active: true, groups: principal.groups },
    stage,
    request.parties,
    request.escalated,
  );
  if (!eligibility.may) return refusal(eligibility.slug, eligibility.detail);
  return hasDecided(request, principal.id, stage.id)
    ? refusal(
        'already-decided',
        `${principal.id} has decided on this revision of stage ${stage.id}. Withdraw first to change it.`,
      )
    : { may: true };
}

function hasDecided({ decisions, revision }: RequestSituation, approverId: string, stage: string): boolean {
  return decisions.some(
    (decision) =>
      decision.approverId === approverId &&
      decision.stage === stage &&
      decision.revision === revision &&
      decision.withdrawnAt === null,
  );
}

function refusal(slug: ProblemSlug, detail: string): Standing {
  return { may: false, slug, detail };
}
