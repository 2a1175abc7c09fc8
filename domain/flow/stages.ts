import { isQuorum } from '../decisions.ts';
import { mayProve, proverOf } from '../proofs.ts';
import type { Draft } from './draft.ts';
import { durationMs } from './duration.ts';
import { isStillWaived } from './exceptions.ts';
import { identityFactsOf } from './facts.ts';
import { evaluateGuard } from './guards.ts';
import type { ApprovalStage, Stage, StepUpStage, VerifyStage, WaitStage } from './language.ts';
import type { FlowState, LedgerFacts, LedgerIdentity } from './state.ts';

/**
 * Whether a stage applies. A guard that errors denies the request (promise 6). After the effect nothing can be denied any
 * more: what stands there is a notice, and is passed over with the error in evidence.
 */
export function applies(draft: Draft, stage: Stage): boolean | 'denied' {
  if (stage.when === undefined) return true;
  const answer = evaluateGuard(stage.when, draft.facts.guardFacts);
  if ('value' in answer) return answer.value;
  if (draft.flow.stages.slice(0, draft.flow.stages.indexOf(stage)).some((earlier) => 'effect' in earlier)) {
    draft.note('request.notice-skipped', { stage: stage.id, error: answer.error });
    return false;
  }
  denyByError(draft, stage, answer.error);
  return 'denied';
}

/** A `verify` stage: passed, or the request is denied with the stage's own reason. */
export function isVerified(draft: Draft, stage: VerifyStage): boolean {
  const answer = evaluateGuard(stage.verify.that, draft.facts.guardFacts);
  if ('error' in answer) return denyByError(draft, stage, answer.error);
  if (answer.value) return true;
  draft.finish('denied', stage.verify.otherwise);
  return false;
}

function denyByError(draft: Draft, stage: Stage, error: string): false {
  draft.note('request.guard-error', { stage: stage.id, error });
  draft.finish('denied', 'guard-error');
  return false;
}

/** False when a weight of the risk cannot be evaluated: the request is denied, whichever stage it stands at. */
export function isAssessed(draft: Draft): boolean {
  if (draft.unassessable === undefined) return true;
  const { weight, error } = draft.unassessable;
  draft.note('request.guard-error', { weight: weight.because, error });
  draft.finish('denied', 'guard-error');
  return false;
}

/** Whose proof this stage asks for now; undefined when nobody is known. */
export function proverAt(
  stage: StepUpStage,
  { parties, guardFacts }: Pick<LedgerFacts, 'parties' | 'guardFacts'>,
): string | undefined {
  const { requester, onBehalfOf } = guardFacts;
  const asker = { requesterId: requester.id, requesterKind: requester.kind, onBehalfOf: onBehalfOf.id };
  return proverOf(stage, asker, parties);
}

/** A `stepUp` stage: whether a proof counts that was fresh when it was given, by whom the stage asks now. */
export function isProven(draft: Draft, stage: StepUpStage): boolean {
  const prover = proverAt(stage, draft.facts);
  return draft.facts.decisions.some(
    (decision) =>
      decision.stage === stage.id &&
      decision.verdict === 'confirm' &&
      decision.authenticatedAt !== undefined &&
      mayProve(decision.approver, stage, prover).may,
  );
}

export type ApprovalStanding = 'passed' | 'waiting' | 'denied';

/** An `approval` stage as the counted decisions, the clock and everyone's eligibility stand now. */
export function approvalStanding(draft: Draft, stage: ApprovalStage): ApprovalStanding {
  const { approval } = stage;
  const enteredMs = Date.parse(draft.state.enteredAt);
  if (approval.escalate !== undefined && !draft.state.escalated) {
    if (draft.nowMs >= enteredMs + durationMs(approval.escalate.after)) {
      draft.state = { ...draft.state, escalated: true };
      draft.note('request.approval-escalated', { stage: stage.id, to: approval.escalate.to });
      draft.change({ change: 'notify', to: [approval.escalate.to], about: `escalated:${stage.id}` });
    }
  }
  const decisions = draft.facts.decisions.filter((decision) => decision.stage === stage.id);
  // One denial each: a second decision of a person is refused, and two who decided may have been found to be one since.
  const denials = new Set(decisions.filter(({ verdict }) => verdict === 'deny').map(({ approver }) => approver.id))
    .size;
  if (denials >= (approval.denials ?? 1)) {
    draft.finish('denied', 'denied-by-approver');
    return 'denied';
  }
  // The clock before the quorum: the deadline runs on under a hold, and an approval that came after it never counts.
  if (draft.nowMs >= approvalTimeoutMs(draft, stage)) {
    if (approval.timeout.result === 'deny') draft.finish('denied', 'approval-timeout');
    else draft.finish('expired', 'approval-timeout');
    return 'denied';
  }
  return isMet(draft, stage) ? 'passed' : 'waiting';
}

/** Until when this stage takes decisions, epoch ms. */
export function approvalTimeoutMs(draft: Draft, stage: ApprovalStage): number {
  return Date.parse(draft.state.enteredAt) + durationMs(stage.approval.timeout.after);
}

/** When this stage changes by itself, epoch ms: escalation first, then the time-out. */
export function approvalDeadlineMs(draft: Draft, stage: ApprovalStage): number {
  const { escalate } = stage.approval;
  const enteredMs = Date.parse(draft.state.enteredAt);
  const deadlines = [approvalTimeoutMs(draft, stage)];
  if (escalate !== undefined && !draft.state.escalated) deadlines.push(enteredMs + durationMs(escalate.after));
  return Math.min(...deadlines);
}

/** When a wait is over, epoch ms. Its clock runs on under a hold, as the deadlines of people do. */
export function waitEndsMs({ enteredAt }: Pick<FlowState, 'enteredAt'>, stage: WaitStage): number {
  return Date.parse(enteredAt) + durationMs(stage.wait.for);
}

function isMet(draft: Draft, stage: ApprovalStage): boolean {
  const approvers = draft.facts.decisions
    .filter((decision) => decision.stage === stage.id && decision.verdict === 'approve')
    .map(({ approver }) => approver);
  return isQuorum(approvers, stage, draft.facts.parties, draft.state.escalated);
}

/**
 * What `begin` and `commit` ask again, however long ago it was answered: the identity, where there is one, may still
 * issue and has not expired, the risk can be told, each `verify` guard holds, each proof still counts, each approval still
 * has its quorum, each wait was waited, unless an exception waives it still. On false the request has been denied, or was
 * sent back to the approval, proof or wait that counts no more.
 */
export function recheck(draft: Draft): boolean {
  if (draft.facts.request.isAltered) {
    draft.finish('denied', 'request-altered');
    return false;
  }
  if (draft.facts.identity !== undefined && !mayStillIssue(draft, draft.facts.identity)) return false;
  if (!isAssessed(draft)) return false;
  for (const [index, stage] of draft.flow.stages.slice(0, draft.state.stage).entries()) {
    const isApplied = applies(draft, stage);
    if (isApplied === 'denied') return false;
    if (!isApplied || isStillWaived(draft, stage)) continue;
    if ('verify' in stage && !isVerified(draft, stage)) return false;
    if ('stepUp' in stage && !isProven(draft, stage)) {
      draft.note('request.proof-lost', { stage: stage.id, ...voidAt(draft, stage) });
      draft.enter(index);
      return false;
    }
    // Escalation may have let someone decide who otherwise could not: an earlier stage keeps what it counted.
    if ('approval' in stage && !isStillMet(draft, stage)) {
      draft.note('request.quorum-lost', { stage: stage.id, ...voidAt(draft, stage) });
      draft.enter(index);
      return false;
    }
    if ('wait' in stage && !draft.state.waited?.includes(stage.id)) {
      draft.note('request.wait-owed', { stage: stage.id });
      draft.enter(index);
      return false;
    }
  }
  return true;
}

/** Decisions of this stage that count no more, and why. */
function voidAt({ facts }: Draft, { id }: Stage): { readonly void?: readonly string[] } {
  const found = facts.voidDecisions?.filter(({ stage }) => stage === id) ?? [];
  return found.length === 0 ? {} : { void: found.map((decision) => `${decision.id}: ${decision.because}`) };
}

function mayStillIssue(draft: Draft, { state }: LedgerIdentity): boolean {
  if (state !== 'requested' && state !== 'active') {
    draft.finish('cancelled', 'revoking');
    return false;
  }
  if (Date.parse(identityFactsOf(draft.facts.guardFacts).subject.expiresAt) > draft.nowMs) return true;
  draft.finish('denied', 'identity-expired');
  return false;
}

function isStillMet(draft: Draft, stage: ApprovalStage): boolean {
  const approvers = draft.facts.decisions
    .filter((decision) => decision.stage === stage.id && decision.verdict === 'approve')
    .map(({ approver }) => approver);
  return isQuorum(approvers, stage, draft.facts.parties, stage.approval.escalate !== undefined);
}

/** How long a request may wait for people, epoch ms. */
export function requestDeadlineMs(draft: Draft): number {
  return Date.parse(draft.facts.request.createdAt) + durationMs(draft.flow.limits.requestTtl);
}
