import { expect } from 'vitest';
import { advance } from '../../../domain/flow/advance.ts';
import { durationMs } from '../../../domain/flow/duration.ts';
import type { Facts } from '../../../domain/flow/facts.ts';
import { evaluateGuard } from '../../../domain/flow/guards.ts';
import type { ApprovalStage, Flow, Stage, StepUpStage } from '../../../domain/flow/language.ts';
import type { EffectOrder } from '../../../domain/flow/plan.ts';
import { isFinalRequestState } from '../../../domain/states.ts';
import type { PlayedFacts, PlayedRequest, Step } from './playedRequest.ts';

/** What holds after every step of every request, whatever has happened. Written from DESIGN, not from `advance`. */
export function checkStep(played: PlayedRequest, step: Step): void {
  credentialsFit(step);
  ordersFit(played.flow, step);
  recordsAreTrue(step);
  timerIsAhead(step);
  deadlinesHold(played.flow, step);
  holdsHold(step);
  stagesWerePassed(played, step);
  nothingBeginsAfterTheEnd(step);
  onlyWhoMayIsCounted(played, step);
  denialsEndIt(played, step);
  waiversAreTrue(played.flow, step);
  planIsReproducible(played.flow, step);
}

const changesOf = ({ result }: Step): readonly string[] => result.changes.map(({ change }) => change);
const nowOf = (facts: PlayedFacts): number => Date.parse(facts.guardFacts.now);
const isPaused = (facts: PlayedFacts): boolean => facts.holds.some(({ kind }) => kind === 'pause');

function credentialsFit({ after, result }: Step): void {
  const inStates = (...states: string[]) => after.credentials.filter(({ state }) => states.includes(state));
  expect(inStates('current').length).toBeLessThanOrEqual(1);
  expect(inStates('minting', 'staged').length).toBeLessThanOrEqual(1);
  if (isFinalRequestState(result.next.state)) {
    expect(inStates('minting', 'staged').filter(({ requestId }) => requestId === after.request.id)).toEqual([]);
  }
  if (after.request.kind === 'onboarding' && isFinalRequestState(result.next.state))
    expect(after.identity.state).not.toBe('requested');
  // Versions are never made twice.
  expect(new Set(after.credentials.map(({ version }) => version)).size).toBe(after.credentials.length);
}

function ordersFit(flow: Flow, { after, result }: Step): void {
  const { effects, done, timer, state } = result.next;
  expect(new Set(effects.map(({ id }) => id)).size).toBe(effects.length);
  expect(done).toBe(isFinalRequestState(state) && effects.length === 0 && timer === undefined);
  for (const order of effects) orderFits(flow, order, after);
}

function orderFits(
  flow: Flow,
  order: EffectOrder,
  { identity, credentials, guardFacts, leaseMs, request }: PlayedFacts,
) {
  const nowMs = Date.parse(guardFacts.now);
  const version = order.activity === 'quarantine' ? undefined : order.input.version;
  const named = credentials.find((credential) => credential.version === version);
  switch (order.activity) {
    case 'create':
      expect(named).toMatchObject({ state: 'minting', requestId: request.id, leaseEndsAt: order.input.leaseEndsAt });
      expect(order.input.timeoutMs).toBeLessThanOrEqual(leaseMs / 2);
      return;
    case 'promote':
      expect(named?.state).toBe('current');
      expect(order.input.epoch).toBe(identity.epoch);
      expect(named?.promotedEpoch).not.toBe(identity.epoch);
      expect(identity.state).toBe('active');
      return;
    case 'quarantine':
      expect(order.input.epoch).toBe(identity.epoch);
      expect(['revoking', 'rejected']).toContain(identity.state);
      return;
    case 'destroy':
      expect(named?.state).toBe('destroying');
      // A second look is a revocation's only, and only when nothing can land any more.
      if (named?.hasReceipt) {
        expect(flow.on).toBe('revocation');
        expect(Date.parse(named.leaseEndsAt)).toBeLessThanOrEqual(nowMs);
      }
      return;
  }
}

/** Nothing is recorded as served under an epoch that is gone, nor an identity as revoked while it has a credential. */
function recordsAreTrue({ after, result }: Step): void {
  for (const change of result.changes) {
    if (change.change === 'record-promote') expect(change.epoch).toBe(after.identity.epoch);
    if (change.change === 'finish-revocation') expect(after.credentials).toEqual([]);
  }
}

/** A request that has begun nothing does not outlive its deadline, whatever holds it. */
function deadlinesHold(flow: Flow, { event, after, result }: Step): void {
  const { effect } = result.state;
  const isMinting = after.credentials.some(
    ({ state, requestId }) => ['minting', 'staged'].includes(state) && requestId === after.request.id,
  );
  const isAmended = event.kind === 'command' && event.command.do === 'amend';
  const hasBegun = effect.committedVersion !== undefined || effect.revoked || isMinting;
  if (isFinalRequestState(result.next.state) || hasBegun || isAmended) return;
  expect(nowOf(after)).toBeLessThan(Date.parse(after.request.createdAt) + durationMs(flow.limits.requestTtl));
}

/** A timer that is due already would fire, change nothing, and be armed again: a request that spins. */
function timerIsAhead({ after, result }: Step): void {
  const { timer } = result.next;
  if (timer === undefined) return;
  expect(Date.parse(timer.dueAt)).toBeGreaterThan(nowOf(after));
  expect(timer.delayMs).toBe(Date.parse(timer.dueAt) - nowOf(after));
}

function holdsHold(step: Step): void {
  const { event, after } = step;
  const changes = changesOf(step);
  const isRollback = event.kind === 'command' && event.command.do === 'rollback';
  if (after.holds.length > 0 && !isRollback) {
    for (const begun of ['mint', 'renew-lease', 'make-current']) expect(changes).not.toContain(begun);
  }
  const retires = step.result.changes.some(
    (change) => change.change === 'destroy' && stateBefore(step, change.version) === 'retiring',
  );
  if (isPaused(after)) expect(retires).toBe(false);
  if (!['requested', 'active'].includes(step.facts.identity.state)) {
    for (const begun of ['mint', 'renew-lease', 'make-current', 'activate-identity'])
      expect(changes).not.toContain(begun);
  }
}

/** What only stands at the end of the stages: the beginnings of every effect, and what they come to. */
const begins: readonly string[] = ['mint', 'renew-lease', 'make-current', 'begin-revocation', 'complete-review'];

/** Denied, expired, cancelled: no effect begins any more, whatever arrives late. */
function nothingBeginsAfterTheEnd(step: Step): void {
  const wasOver = isFinalRequestState(step.facts.request.state);
  const isOver = isFinalRequestState(step.result.next.state) && step.result.next.state !== 'completed';
  if (!wasOver && !isOver) return;
  // Denied in the step that asked again before it made anything current, it has made nothing current.
  for (const begun of begins) expect(changesOf(step)).not.toContain(begun);
}

/** A decision that is recorded is by somebody who is active, in the right group, and kept from deciding by nothing. */
function onlyWhoMayIsCounted(played: PlayedRequest, { result, facts, state }: Step): void {
  const stage = played.flow.stages[state.stage];
  for (const change of result.changes) {
    if (change.change !== 'record-decision') continue;
    if (stage === undefined || !('approval' in stage || 'stepUp' in stage))
      throw new Error('a decision was recorded where none is asked for');
    const { approver, decision } = change;
    expect(decision.verdict === 'confirm').toBe('stepUp' in stage);
    expect(decision).toMatchObject({ stage: stage.id, revision: facts.request.revision, approverId: approver.id });
    expect(approver.active).toBe(true);
    if ('approval' in stage) expect(separatedFrom(stage, facts)).not.toContain(approver.id);
    else {
      expect(approver.id).toBe(askedToProve(stage, facts));
      const ageMs = nowOf(facts) - Date.parse(decision.authenticatedAt ?? '');
      expect(ageMs).toBeLessThanOrEqual(durationMs(stage.stepUp.maxAge));
    }
    expect(facts.decisions.some((counted) => counted.stage === stage.id && counted.approver.id === approver.id)).toBe(
      false,
    );
  }
}

/** In these stories people ask, and for nobody else. */
function askedToProve({ stepUp }: StepUpStage, { request, parties }: PlayedFacts): string | undefined {
  if (stepUp.by === 'owner') return parties.ownerId;
  return stepUp.by === 'requester' ? request.requesterId : undefined;
}

function isProven(stage: StepUpStage, facts: PlayedFacts): boolean {
  return facts.decisions.some(
    ({ stage: of, verdict, approver }) =>
      of === stage.id && verdict === 'confirm' && approver.active && approver.id === askedToProve(stage, facts),
  );
}

/** Worked out here once more, from the weights themselves. */
function scoreOf({ risk }: Flow, facts: Facts): number {
  return (risk?.weights ?? []).reduce((sum, { when, add }) => {
    const answer = evaluateGuard(when, facts);
    return 'value' in answer && answer.value ? sum + add : sum;
  }, 0);
}

function stateBefore({ facts }: Step, asked: number): string | undefined {
  return facts.credentials.find(({ version }) => version === asked)?.state;
}

/** Whatever makes or commits a credential has every guard and every quorum behind it, at that very instant. */
function stagesWerePassed(played: PlayedRequest, step: Step): void {
  const { flow } = played;
  const { result, after, state } = step;
  // As they really are, the new owner of an amendment included.
  const people = { ...after.guardFacts, owner: played.personOf(after.parties.ownerId) };
  const guardFacts = { ...people, risk: { score: scoreOf(flow, people) } };
  for (const { kind, data } of result.audit) {
    if (kind !== 'request.stage-passed') continue;
    const stage = flow.stages.find(({ id }) => id === data['stage']);
    if (stage !== undefined && 'wait' in stage) {
      // Passed by the step that found the request there, and only when it was over.
      expect(flow.stages[state.stage]?.id).toBe(stage.id);
      expect(nowOf(after)).toBeGreaterThanOrEqual(Date.parse(state.enteredAt) + durationMs(stage.wait.for));
    }
    if (stage === undefined || !('approval' in stage) || flow.stages[state.stage]?.id !== stage.id) continue;
    const timeoutMs = Date.parse(state.enteredAt) + durationMs(stage.approval.timeout.after);
    expect(nowOf(after)).toBeLessThan(timeoutMs);
  }
  const isRollback = step.event.kind === 'command' && step.event.command.do === 'rollback';
  // A responder's revocation waits for nobody.
  const isAtOnce = step.event.kind === 'opened' && step.event.atOnce;
  if (isRollback || isAtOnce || !changesOf(step).some((change) => begins.includes(change))) return;
  expect(Date.parse(after.guardFacts.subject.expiresAt)).toBeGreaterThan(nowOf(after));
  // A revocation asks nothing again: what it passed in earlier steps was looked at then.
  const asked = flow.on === 'revocation' ? state.stage : 0;
  for (const stage of flow.stages.slice(
    asked,
    flow.stages.findIndex((candidate) => 'effect' in candidate),
  )) {
    const applies = stage.when === undefined ? { value: true } : evaluateGuard(stage.when, guardFacts);
    expect(applies).not.toHaveProperty('error');
    if (!('value' in applies) || !applies.value) continue;
    if (isWaived(flow, stage, after)) continue;
    if ('verify' in stage) expect(evaluateGuard(stage.verify.that, guardFacts)).toEqual({ value: true });
    if ('approval' in stage) expect(hasQuorum(stage, after)).toBe(true);
    if ('stepUp' in stage) expect(isProven(stage, after)).toBe(true);
    if ('wait' in stage) expect(wasWaited(played, step, stage)).toBe(true);
  }
}

/** Since the request was last sent back to it, or to what stands before it. */
function wasWaited({ flow, steps }: PlayedRequest, step: Step, stage: Stage): boolean {
  let isWaited = false;
  for (const { event, result } of steps.slice(0, steps.indexOf(step) + 1)) {
    if (event.kind === 'command' && event.command.do === 'amend' && result.verdict.accepted) isWaited = false;
    for (const { kind, data } of result.audit) {
      const at = flow.stages.findIndex(({ id }) => id === data['stage']);
      const isSentBack = ['request.quorum-lost', 'request.proof-lost', 'request.wait-owed'].includes(kind);
      if (isSentBack && at <= flow.stages.indexOf(stage)) isWaited = false;
      if (kind === 'request.stage-passed' && data['stage'] === stage.id) isWaited = true;
    }
  }
  return isWaited;
}

/** By the flow's own words: for this subject, before this instant. */
function isWaived({ exceptions = [] }: Flow, { id }: Pick<Stage, 'id'>, facts: PlayedFacts): boolean {
  const { subject } = facts.guardFacts;
  return exceptions.some(({ subject: meant, stages, until }) => {
    const isMeant =
      'id' in meant
        ? meant.id === subject.id
        : meant.name === subject.name && meant.environment === subject.environment;
    return isMeant && stages.includes(id) && nowOf(facts) < Date.parse(until);
  });
}

/** Nothing is told as waived but what an exception waives at that instant. */
function waiversAreTrue(flow: Flow, { after, result }: Step): void {
  for (const { kind, data } of result.audit) {
    if (kind !== 'request.stage-waived') continue;
    const stage = flow.stages.find(({ id }) => id === data['stage']);
    expect(stage !== undefined && isWaived(flow, stage, after)).toBe(true);
  }
}

/** As many different people as the stage says, no fewer and never more: a request does not outlive them. */
function denialsEndIt(played: PlayedRequest, { event, after, result }: Step): void {
  const stage = played.flow.stages[result.state.stage];
  if (stage === undefined || !('approval' in stage)) return;
  const { denials = 1 } = stage.approval;
  const against = new Set(
    after.decisions
      .filter((one) => one.stage === stage.id && one.verdict === 'deny')
      .map(({ approver }) => approver.id),
  );
  const ended = result.audit.find(({ kind }) => kind === 'request.finished');
  if (ended?.data['reason'] === 'denied-by-approver') expect(against.size).toBe(denials);
  const isAmended = event.kind === 'command' && event.command.do === 'amend';
  if (isAmended || isFinalRequestState(result.next.state) || isWaived(played.flow, stage, after)) return;
  if (result.next.state === 'awaiting-approval') expect(against.size).toBeLessThan(denials);
}

/** Everybody whom the stage keeps from deciding, whatever their groups. */
function separatedFrom(
  { approval }: Pick<ApprovalStage, 'approval'>,
  { parties }: Pick<PlayedFacts, 'parties'>,
): readonly string[] {
  const kept = (role: string, ids: readonly string[]) => (approval.separation.includes(role as never) ? ids : []);
  return [
    ...kept('requester', [...parties.requesters, ...parties.onBehalfOf]),
    ...kept('onBehalfOf', parties.onBehalfOf),
    ...kept('owner', [parties.ownerId]),
    ...kept('flowAuthor', [parties.flowAuthor]),
  ];
}

/** By trying every seating; `advance` matches by augmenting paths. */
function hasQuorum({ id, approval }: ApprovalStage, { decisions, parties }: PlayedFacts): boolean {
  const separated = separatedFrom({ approval }, { parties });
  const counted = decisions
    .filter(({ stage, verdict, approver }) => stage === id && verdict === 'approve' && approver.active)
    .map(({ approver }) => approver)
    .filter((approver) => !separated.includes(approver.id));
  const places = approval.require.flatMap(({ from, count }) => new Array<string>(count).fill(from));
  const sources = (from: string) => (approval.escalate === undefined ? [from] : [from, approval.escalate.to]);
  const isOf = (person: (typeof counted)[number], source: string) =>
    source === 'owner' ? person.id === parties.ownerId : person.groups.includes(source.slice('group:'.length));
  const seats = (left: typeof counted, at: number): boolean =>
    at === places.length ||
    left.some(
      (person) =>
        sources(places[at] ?? '').some((source) => isOf(person, source)) &&
        seats(
          left.filter(({ id: seated }) => seated !== person.id),
          at + 1,
        ),
    );
  return seats(counted, 0);
}

/** A lost workflow, told of nothing but the facts, is given the same plan, and asking changes nothing. */
function planIsReproducible(flow: Flow, { event, after, result }: Step): void {
  // What was amended is judged by the nudge that follows, with the facts as they then are.
  if (event.kind === 'command' && event.command.do === 'amend') return;
  const again = advance({ flow, state: result.state, event: { kind: 'nudge', id: 'nudge' }, facts: after });
  expect(again.changes).toEqual([]);
  expect(again.audit).toEqual([]);
  expect(again.next).toEqual(result.next);
  expect(again.state).toEqual(result.state);
}
