import type { KeyObject } from 'node:crypto';
import { caseFileOf } from '../domain/caseFile.ts';
import { signedByOneOf } from '../domain/decisionSignature.ts';
import { type Advance, advance, type FlowEvent } from '../domain/flow/advance.ts';
import type { AdvanceResult, RequestEvent, Verdict } from '../domain/flow/events.ts';
import type { DecisionContext } from '../domain/flow/judge.ts';
import { settleOrders } from '../domain/flow/orders.ts';
import type { Plan } from '../domain/flow/plan.ts';
import { isFinalRequestState } from '../domain/states.ts';
import { Prisma } from '../prisma/generated/client.ts';
import { checkAmendment } from './amendment.ts';
import { applyChange, endedByRevocation, evidenceOf, type Place } from './applyChange.ts';
import { issuingTransaction, type Ledger } from './client.ts';
import { decisionKeysOf } from './decisionStanding.ts';
import { freshNonce, writeOrders } from './effectOrders.ts';
import { appendEvidence, type EvidenceDraft, evidenceInsertion, requestChain } from './evidence.ts';
import { keepAsSubject } from './freezeSubjects.ts';
import { type Gathered, gatherFacts } from './gatherFacts.ts';
import { enqueue } from './outbox.ts';
import { refusalDrafts, refusedKind } from './refusals.ts';
import { fallDueAgain } from './reissueOrders.ts';
import { LedgerRestored, mayChangeWhileObserving } from './restore.ts';
import type { Statements } from './statements.ts';

/**
 * One event on one request, in one transaction: locks, facts, `advance`, changes, evidence, outbox. Idempotent by the
 * event's id: a known one gets its recorded verdict and the present plan.
 * @throws RequestMissing when there is no such request; LedgerRestored while the ledger is observe-only
 */
export async function advanceRequest(
  ledger: Ledger,
  { requestId, event }: { requestId: string; event: RequestEvent },
): Promise<AdvanceResult> {
  return issuingTransaction(ledger, (tx) => advanceWithin(tx, ledger, requestId, event));
}

/**
 * The same within a transaction that already holds the freeze lock.
 * @param told evidence of what that transaction did before: appended with this step's own, in one go
 */
export async function advanceWithin(
  tx: Statements,
  ledger: Ledger,
  requestId: string,
  event: FlowEvent,
  told: readonly EvidenceDraft[] = [],
): Promise<AdvanceResult> {
  const approverId = event.kind === 'decision' ? event.decision.approverId : undefined;
  const gathered = await gatherFacts(tx, ledger, { requestId, eventId: event.id, approverId });
  if (gathered === undefined) throw new RequestMissing(requestId);
  const { observedSince, facts } = gathered;
  if (observedSince !== null && !mayChangeWhileObserving(facts.request, event, observedSince))
    throw new LedgerRestored(`request ${requestId}`);
  const isKnown = gathered.knownVerdict !== null;
  const applied: FlowEvent = isKnown ? { kind: 'nudge', id: 'nudge' } : event;
  const result = advance({
    flow: gathered.flow,
    state: gathered.state,
    event: applied,
    facts: gathered.facts,
    ...(applied.kind === 'command' && applied.command.do === 'amend'
      ? { amendmentCheck: await checkAmendment(tx, gathered, applied.command.subject) }
      : {}),
    ...(gathered.approver === undefined ? {} : { decisionContext: contextOf(ledger, gathered.approver) }),
  });
  // An end that was told before was taken in then: its order is closed.
  const ended = event.kind === 'effect' ? event.id : undefined;
  const orders = settleOrders(facts.orders, result.next.effects, ended, freshNonce);
  const [sequence] = await Promise.all([
    record(tx, ledger, { gathered, event: applied, result, told }),
    writeOrders(tx, { requestId, now: gathered.now }, orders),
  ]);
  const plan: Plan = { requestId, sequence, ...result.next, effects: orders.effects };
  return { verdict: isKnown ? (gathered.knownVerdict as Verdict) : result.verdict, plan };
}

function contextOf(ledger: Ledger, approver: DecisionContext['approver']): DecisionContext {
  const { personKey } = ledger.evidence;
  return {
    approver,
    isGenuine: signedByOneOf(decisionKeysOf(ledger)),
    caseFileOf: (review) => caseFileOf(personKey, review),
  };
}

interface Step {
  readonly gathered: Gathered;
  readonly event: FlowEvent;
  readonly result: Advance;
  readonly told: readonly EvidenceDraft[];
}

/** Writes what the step decided; returns the request's sequence after it. */
async function record(tx: Statements, ledger: Ledger, step: Step): Promise<number> {
  const { gathered, event, result } = step;
  const { request, identity } = gathered.facts;
  const hasMoved = result.changes.length > 0 || result.audit.length > 0 || result.next.state !== request.state;
  if (!result.isRecorded && !hasMoved) {
    await appendEvidence(tx, ledger.evidence, step.told, [gathered.chainHead]);
    return gathered.sequence;
  }
  const sequence = gathered.sequence + 1;
  const place = {
    requestId: request.id,
    ...(identity === undefined ? {} : { identityId: identity.id }),
    now: gathered.now,
  };
  const refused = await refusedDrafts(tx, step, place);
  const evidence = (ended: readonly string[], kept: readonly string[]) => [
    ...step.told,
    ...refused,
    ...evidenceDrafts(step, place, ledger.evidence.personKey),
    ...ended.map((requestId) => endDraft(step, { ...place, requestId })),
    ...freezeDrafts(step, place, kept),
  ];
  const endsOthers = result.changes.some(({ change }) => change === 'begin-revocation');
  const heldBefore = mayRelabel(step) ? frozenBy(step) : [];
  const known = endsOthers || heldBefore.length > 0 ? [] : evidence([], []);
  // Evidence of the request alone is of one statement with its step, unless it tells of what the changes meet.
  const isWithStep = known.length > 0 && known.every(({ chain }) => chain === gathered.chainHead.chain);
  const evidenceOfStep = isWithStep ? evidenceInsertion(ledger.evidence, known, [gathered.chainHead]) : undefined;
  const [ended] = await Promise.all([
    Promise.all(result.changes.map((change) => applyChange(tx, place, change))),
    recordStep(tx, step, sequence, evidenceOfStep),
    // A command comes through the API, past the workflow: the outbox tells it that the plan has changed.
    (event.kind === 'command' || event.kind === 'superseded') && result.verdict.accepted
      ? enqueue(tx, { kind: 'nudge', requestId: request.id })
      : undefined,
    identity !== undefined && endsWithoutRotating(step) ? fallDueAgain(tx, identity.id, gathered.now) : undefined,
  ]);
  if (evidenceOfStep !== undefined) return sequence;
  const kept =
    identity === undefined ? [] : await keepAsSubject(tx, { identityId: identity.id, heldBefore, at: gathered.now });
  await appendEvidence(tx, ledger.evidence, evidence(ended.flat(), kept), [gathered.chainHead]);
  return sequence;
}

/** Of a rotation that a person or a pipeline asked for, and that nothing took the place of. */
function endsWithoutRotating({ gathered, result }: Step): boolean {
  const { request, guardFacts } = gathered.facts;
  const { state } = result.next;
  const hasEnded = !isFinalRequestState(request.state) && isFinalRequestState(state) && state !== 'completed';
  const isAsked = guardFacts.requester.kind !== 'system' && result.reason !== 'superseded';
  return request.kind === 'rotation' && hasEnded && isAsked;
}

/** The request's row, its evidence and, of an event that is recorded, the event's: in one statement, since every step pays for it. */
async function recordStep(
  tx: Statements,
  { gathered, event, result }: Step,
  sequence: number,
  evidence: Prisma.Sql | undefined,
): Promise<void> {
  const { now, facts } = gathered;
  const { request } = facts;
  const { state, done } = result.next;
  const isFinal = isFinalRequestState(state);
  const moved = Prisma.sql`
    UPDATE "request" SET "state" = ${state}, "reason" = ${result.reason ?? null},
      "flowState" = ${JSON.stringify(result.state)}::jsonb, "sequence" = ${sequence}::int, "updatedAt" = ${now},
      "owesDestroys" = ${isFinal && !done}, "wakeAt" = ${wakeAt(result.next, now)},
      "finishedAt" = coalesce("finishedAt", ${isFinal ? now : null})
    WHERE "id" = ${request.id}`;
  const told = evidence === undefined ? [] : [Prisma.sql`"told" AS (${evidence})`];
  if (!result.isRecorded)
    await tx.$executeRaw(told.length === 0 ? moved : Prisma.sql`WITH ${Prisma.join(told)} ${moved}`);
  else
    await tx.$executeRaw`
      WITH ${Prisma.join([Prisma.sql`"moved" AS (${moved})`, ...told])}
      INSERT INTO "request_event" ("requestId", "id", "kind", "verdict", "sequence", "at")
      VALUES (${request.id}, ${event.id}, ${event.kind}, ${JSON.stringify(result.verdict)}::jsonb, ${sequence}::int, ${now})`;
}

/** The end of another request, on its own chain: a revocation ends all that are open beside it. */
function endDraft({ gathered, event }: Step, { now, ...about }: Place): EvidenceDraft {
  const actor = actorOf(event, gathered);
  return {
    chain: requestChain(about.requestId),
    kind: 'request.finished',
    actor,
    ...about,
    at: now,
    data: endedByRevocation,
  };
}

function evidenceDrafts(
  { gathered, event, result }: Step,
  { now, ...about }: Place,
  personKey: KeyObject,
): readonly EvidenceDraft[] {
  const actor = actorOf(event, gathered);
  const place = { chain: requestChain(about.requestId), actor, ...about, at: now };
  const entries = [
    ...result.changes.map((change) => evidenceOf(change, personKey)),
    ...result.audit.map(({ kind, data }) => ({ kind, data })),
  ];
  return entries.map(({ kind, data }) => ({ ...place, kind, data }));
}

/** What was refused is told once a minute: whoever repeats it with other keys writes no more than that into the log. */
async function refusedDrafts(
  tx: Statements,
  { gathered, event, result }: Step,
  { now, ...about }: Place,
): Promise<readonly EvidenceDraft[]> {
  if (result.verdict.accepted) return [];
  const kind = event.kind === 'decision' ? refusedKind(event.decision.verdict) : 'request.command-refused';
  const { slug: reason } = result.verdict;
  const refusal = { chain: requestChain(about.requestId), kind, actor: actorOf(event, gathered), ...about, reason };
  return refusalDrafts(tx, { ...refusal, data: { event: event.id } }, now);
}

function frozenBy({ gathered }: Step): readonly string[] {
  return gathered.facts.holds.filter(({ kind }) => kind === 'freeze').map(({ id }) => id);
}

/** Another owner, or fewer requests and credentials to bind it to a flow version: freezes may select it no more. */
function mayRelabel({ result }: Step): boolean {
  const relabelling = ['amend', 'complete-review', 'destroyed'];
  return isFinalRequestState(result.next.state) || result.changes.some(({ change }) => relabelling.includes(change));
}

/** What a freeze's own chain tells of this step: whom it let go, and whom it keeps. */
function freezeDrafts(
  { gathered, event, result }: Step,
  { now, ...about }: Place,
  kept: readonly string[],
): readonly EvidenceDraft[] {
  const thawed = result.changes.flatMap((change) => (change.change === 'complete-review' ? change.thaws : []));
  const draft = (kind: string) => (freezeId: string) => ({
    chain: `freeze/${freezeId}`,
    kind,
    actor: actorOf(event, gathered),
    ...about,
    at: now,
    data: { freezeId },
  });
  return [...thawed.map(draft('freeze.thawed')), ...kept.map(draft('freeze.subject-kept'))];
}

function actorOf(event: FlowEvent, { facts }: Gathered): string {
  if (event.kind === 'decision') return event.decision.approverId;
  if (event.kind === 'command') return event.command.by;
  if (event.kind === 'opened') return facts.request.requesterId;
  if (event.kind === 'superseded') return event.by;
  return 'system:workflow';
}

const nudgeSlackMs = 30_000;
const effectPatienceMs = 120_000;
const idlePatienceMs = 3_600_000;

/** When the lifecycle asks whether this request's workflow was lost: soon after it should have moved by itself. */
function wakeAt(next: Omit<Plan, 'requestId' | 'sequence'>, now: Date): Date | null {
  if (next.done) return null;
  if (next.effects.length > 0) return new Date(now.getTime() + effectPatienceMs);
  const untilMs = next.timer === undefined ? idlePatienceMs : next.timer.delayMs + nudgeSlackMs;
  return new Date(now.getTime() + untilMs);
}

/** There is no such request in this ledger. Not retryable. */
export class RequestMissing extends Error {
  override readonly name = 'RequestMissing';
  constructor(requestId: string) {
    super(`Request ${requestId} is not in this ledger. Check the id, and that worker and API use the same database.`);
  }
}
