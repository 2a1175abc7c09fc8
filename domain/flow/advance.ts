import { isFinalRequestState, type RequestState } from '../states.ts';
import type { Change } from './changes.ts';
import { type AuditEntry, Draft, instant } from './draft.ts';
import type { RequestEvent, Verdict } from './events.ts';
import { exceptionFor, waive } from './exceptions.ts';
import { cancelByFreeze } from './frozen.ts';
import { settleGrant } from './grant.ts';
import { isMine, issuanceOrders, mintOf, settleIssuance, takeIssuanceOutcome } from './issuance.ts';
import { type AmendmentCheck, type DecisionContext, judgeCommand, judgeDecision } from './judge.ts';
import type { Flow, FlowException, Stage } from './language.ts';
import { orderOfEvent } from './orders.ts';
import type { EffectOrder, Plan } from './plan.ts';
import { settlePublication } from './publication.ts';
import { settleReview } from './review.ts';
import {
  beginRevocation,
  nextLeaseEndMs,
  revocationOrders,
  settleRevocation,
  takeRevocationOutcome,
} from './revocation.ts';
import { assessRisk } from './risk.ts';
import { silentFromMs } from './silence.ts';
import {
  applies,
  approvalDeadlineMs,
  approvalStanding,
  isAssessed,
  isProven,
  isVerified,
  requestDeadlineMs,
  waitEndsMs,
} from './stages.ts';
import type { FlowState, LedgerFacts } from './state.ts';
import { destroyOrders, isStuck, nextRetryMs, stepOfCurrentAttempt, takeSilence } from './steps.ts';
import { type SupersededEvent, supersede } from './superseding.ts';

/** The first event of every request; `atOnce` is a responder's: a revocation's transaction runs now. */
export interface OpenedEvent {
  readonly kind: 'opened';
  readonly id: 'opened' | 'opened-at-once';
  readonly atOnce: boolean;
}

/** `opened` and `superseded` come from the ledger alone, never through Temporal. */
export type FlowEvent = RequestEvent | OpenedEvent | SupersededEvent;

export interface AdvanceInput {
  readonly flow: Flow;
  readonly state: FlowState;
  readonly event: FlowEvent;
  readonly facts: LedgerFacts;
  /** Needed for decisions only. */
  readonly decisionContext?: DecisionContext;
  /** Needed for amendments only. */
  readonly amendmentCheck?: AmendmentCheck;
}

export interface Advance {
  readonly verdict: Verdict;
  readonly state: FlowState;
  readonly reason: string | undefined;
  /** In order; the ledger carries them out in the same transaction. */
  readonly changes: readonly Change[];
  readonly audit: readonly AuditEntry[];
  /** False for a timer that fired early by the ledger's clock: not recorded, armed again. */
  readonly isRecorded: boolean;
  /** What the workflow carries out next, but for `requestId` and `sequence`, which the ledger gives. */
  readonly next: Omit<Plan, 'requestId' | 'sequence'>;
}

/**
 * One step of one request. Pure: the same flow, state, event and facts (the clock is one of them) give the same answer,
 * in a transaction, in a test, in a simulation. Denies by default: what no rule allows, does not happen.
 * @throws TransitionRefused only for a defect of its own
 */
export function advance({ flow, state, event, facts, decisionContext, amendmentCheck }: AdvanceInput): Advance {
  const draft = new Draft(flow, state, facts);
  assessRisk(draft);
  const isEarly = event.kind === 'timer' && Date.parse(dueAtOf(event.id)) > draft.nowMs;
  const verdict = take(draft, event, { decisionContext, amendmentCheck });
  // An amendment may name an owner whom these facts do not know: the nudge that every command leaves judges it anew.
  const isAmended = event.kind === 'command' && event.command.do === 'amend' && verdict.accepted;
  if (!isFinalRequestState(draft.requestState) && !isAmended) settle(draft);
  return {
    verdict,
    state: draft.state,
    reason: draft.reason,
    changes: draft.changes,
    audit: draft.audit,
    isRecorded: event.kind !== 'nudge' && !isEarly,
    next: planOf(draft),
  };
}

function take(
  draft: Draft,
  event: FlowEvent,
  {
    decisionContext,
    amendmentCheck,
  }: { decisionContext: DecisionContext | undefined; amendmentCheck: AmendmentCheck | undefined },
): Verdict {
  switch (event.kind) {
    case 'decision':
      if (decisionContext === undefined) throw new TypeError('A decision needs the approver and the keys to judge it.');
      return judgeDecision(draft, event.decision, decisionContext);
    case 'command':
      return judgeCommand(draft, event.command, amendmentCheck);
    case 'effect':
      takeEnd(draft, event.id);
      return { accepted: true };
    case 'opened':
      if (event.atOnce) revokeAtOnce(draft);
      return { accepted: true };
    case 'superseded':
      return supersede(draft, event);
    case 'timer':
    case 'nudge':
      return { accepted: true };
  }
}

/**
 * An effect has ended: what came of it is what its activity recorded under the order's nonce. Without that nothing is known,
 * whatever is said: the step is tried again.
 */
function takeEnd(draft: Draft, eventId: string): void {
  const order = orderOfEvent(draft.facts.orders, eventId);
  const step = order === undefined ? undefined : stepOfCurrentAttempt(draft, order.id);
  if (order === undefined || step === undefined) return draft.note('request.late-answer-ignored', { effect: eventId });
  if (order.answer === undefined) return takeSilence(draft, step, order);
  if (draft.flow.on === 'revocation') takeRevocationOutcome(draft, step, order.answer);
  else takeIssuanceOutcome(draft, step, order.answer);
}

/** A responder's revocation does not wait: the transaction now, then the flow from its effect on. */
function revokeAtOnce(draft: Draft): void {
  const effect = draft.flow.stages.findIndex((stage) => 'effect' in stage);
  draft.note('request.stages-passed-by-responder', { stages: draft.flow.stages.slice(0, effect).map(({ id }) => id) });
  draft.enter(effect);
  beginRevocation(draft);
}

/** Goes on through the stages until one waits or the request ends. */
function settle(draft: Draft): void {
  if (cancelByFreeze(draft)) return;
  const isPaused = (): boolean => draft.facts.holds.some(({ kind }) => kind === 'pause');
  for (;;) {
    const { stage } = draft;
    const isWaitingForPeople = !hasBegun(draft);
    if (isWaitingForPeople && draft.facts.request.isAltered) return draft.finish('denied', 'request-altered');
    if (stage === undefined)
      return draft.finish('completed', draft.state.effect.rolledBack ? 'rolled-back' : undefined);
    if (isWaitingForPeople && draft.nowMs >= requestDeadlineMs(draft))
      return draft.finish('expired', 'request-timeout');
    if (isWaitingForPeople && !isAssessed(draft)) return;
    const isApplied = applies(draft, stage);
    if (isApplied === 'denied') return;
    const exception = isApplied ? exceptionFor(draft, stage) : undefined;
    if (isApplied && exception === undefined) {
      if ('verify' in stage && !isVerified(draft, stage)) return;
      if ('stepUp' in stage && !isProven(draft, stage)) return;
      if ('approval' in stage && approvalStanding(draft, stage) !== 'passed') return;
      if ('wait' in stage && draft.nowMs < waitEndsMs(draft.state, stage)) return;
      if ('effect' in stage && !settleEffect(draft)) {
        // A check at `begin` may have sent the request back to an approval, which then waits as any other.
        if (isFinalRequestState(draft.requestState) || draft.stage === stage) return;
        continue;
      }
    }
    if (isPaused()) return;
    leave(draft, stage, isApplied, exception);
  }
}

/** On to the next stage, with what this one leaves behind. */
function leave(draft: Draft, stage: Stage, isApplied: boolean, exception: FlowException | undefined): void {
  if (exception !== undefined) waive(draft, stage, exception);
  else {
    if (isApplied && 'notify' in stage)
      draft.change({ change: 'notify', to: stage.notify.to, about: `stage:${stage.id}` });
    if (isApplied && 'wait' in stage)
      draft.state = { ...draft.state, waited: [...(draft.state.waited ?? []), stage.id] };
    draft.note(isApplied ? 'request.stage-passed' : 'request.stage-skipped', { stage: stage.id });
  }
  draft.enter(draft.state.stage + 1);
}

function settleEffect(draft: Draft): boolean {
  switch (draft.flow.on) {
    case 'revocation':
      return settleRevocation(draft);
    case 'review':
      return settleReview(draft);
    case 'publication':
      return settlePublication(draft);
    case 'step-up':
      return settleGrant(draft);
    default:
      return settleIssuance(draft);
  }
}

function hasBegun(draft: Draft): boolean {
  const { committedVersion, revoked } = draft.state.effect;
  return committedVersion !== undefined || revoked || mintOf(draft) !== undefined;
}

function planOf(draft: Draft): Omit<Plan, 'requestId' | 'sequence'> {
  const state = standingOf(draft);
  draft.requestState = state;
  const effects = ordersOf(draft);
  const isFinal = isFinalRequestState(state);
  const dueMs = isFinal && isTakenOver(draft) ? undefined : timerMs(draft, isFinal);
  const timer = dueMs === undefined ? undefined : timerOrder(draft, dueMs);
  return {
    state,
    done: isFinal && effects.length === 0 && timer === undefined,
    effects,
    ...(timer === undefined ? {} : { timer }),
    summary: summaryOf(draft, effects),
  };
}

function ordersOf(draft: Draft): EffectOrder[] {
  if (isFinalRequestState(draft.requestState)) {
    return isTakenOver(draft) ? [] : destroyOrders(draft, (version) => isMine(draft, version));
  }
  if (draft.stage === undefined || !('effect' in draft.stage))
    return destroyOrders(draft, (version) => isMine(draft, version));
  return draft.flow.on === 'revocation' ? revocationOrders(draft) : issuanceOrders(draft);
}

/** Under a revocation the identity's destroys are that request's to carry out. */
function isTakenOver(draft: Draft): boolean {
  return draft.facts.identity?.state === 'revoking' || draft.flow.on === 'revocation';
}

/** The request's state as people see it. */
function standingOf(draft: Draft): RequestState {
  if (isFinalRequestState(draft.requestState)) return draft.requestState;
  if (isBlockedByHold(draft)) return 'held';
  const { stage } = draft;
  if (stage !== undefined && 'approval' in stage) return 'awaiting-approval';
  if (stage !== undefined && 'stepUp' in stage) return 'awaiting-proof';
  if (stage === undefined || !('effect' in stage)) return 'evaluating';
  if (isStuck(draft)) return 'stuck';
  const isWaiting = draft.facts.credentials.some(({ state }) => state === 'retiring') && isPromoted(draft);
  return isWaiting ? 'awaiting-consumers' : 'executing';
}

/** A pause blocks every stage exit; a freeze blocks what is not committed, and stops the clock of a grace window. */
function isBlockedByHold(draft: Draft): boolean {
  const { holds, credentials } = draft.facts;
  const { effect } = draft.state;
  if (holds.length === 0 || effect.revoked || draft.flow.on === 'review') return false;
  const isAtEffect = draft.stage !== undefined && 'effect' in draft.stage;
  if (isAtEffect && effect.committedVersion !== undefined) {
    // Promote goes on after commit, whatever holds.
    if (!isPromoted(draft)) return false;
    return holds.some(({ kind }) => kind === 'pause') || credentials.some(({ state }) => state === 'retiring');
  }
  if (holds.some(({ kind }) => kind === 'pause')) return true;
  return isAtEffect && draft.flow.on !== 'revocation';
}

function isPromoted(draft: Draft): boolean {
  const { credentials, identity } = draft.facts;
  return credentials.some(({ state, promotedEpoch }) => state === 'current' && promotedEpoch === identity?.epoch);
}

/** The soonest instant at which something changes by itself; undefined when only events move the request. */
function timerMs(draft: Draft, isFinal: boolean): number | undefined {
  const { stage } = draft;
  const isOwed = (step: string): boolean => !isFinal || step.startsWith('destroy-v');
  const candidates = [nextRetryMs(draft, isOwed)];
  if (!isFinal) {
    if (!hasBegun(draft)) candidates.push(requestDeadlineMs(draft));
    if (stage !== undefined && 'approval' in stage) candidates.push(approvalDeadlineMs(draft, stage));
    if (stage !== undefined && 'wait' in stage) candidates.push(waitEndsMs(draft.state, stage));
    if (draft.flow.on === 'revocation') candidates.push(nextLeaseEndMs(draft));
    const { graceEndsAt } = draft.state.effect;
    const retiring = draft.facts.credentials.find(({ state }) => state === 'retiring');
    if (retiring !== undefined && graceEndsAt !== undefined) {
      candidates.push(silentFromMs(draft, retiring));
      if (draft.facts.holds.length === 0) candidates.push(Date.parse(graceEndsAt));
    }
  }
  // What is due already, `settle` has dealt with as far as it goes: a timer for it would fire at once, for ever.
  const ahead = candidates
    .filter((candidate) => candidate !== undefined)
    .filter((candidate) => candidate > draft.nowMs);
  return ahead.length === 0 ? undefined : Math.min(...ahead);
}

function timerOrder(draft: Draft, dueMs: number): NonNullable<Plan['timer']> {
  const dueAt = instant(dueMs);
  return {
    id: `timer:${draft.stage?.id ?? 'end'}/${draft.state.entry}/${dueAt}`,
    dueAt,
    delayMs: Math.max(1, dueMs - draft.nowMs),
  };
}

function dueAtOf(timerId: string): string {
  return timerId.slice(timerId.lastIndexOf('/') + 1);
}

function summaryOf(draft: Draft, effects: readonly EffectOrder[]): string {
  const { stage } = draft;
  const where = stage === undefined ? 'all stages passed' : `stage ${stage.id}`;
  const until = stage !== undefined && 'wait' in stage ? `, until ${instant(waitEndsMs(draft.state, stage))}` : '';
  const doing = effects.length === 0 ? '' : `, ${effects.map(({ activity }) => activity).join(' and ')}`;
  return `${draft.requestState}: ${where}${until}${doing}`;
}
