import { expect, test } from 'vitest';
import type { Stage } from '../../../domain/flow/language.ts';
import { runFlowTest } from '../../../domain/flow/testing.ts';
import { dayMs, flowOf, hourMs, issue, ownership, PlayedRequest, revoke, secondMs, security } from './playedRequest.ts';

/** A cooling-off: by the ledger's clock, before the effect, and never for nothing. */

const coolOff: Stage = { id: 'cool-off', wait: { for: 'PT1H' } };
const onboarding = flowOf('onboarding', [ownership, coolOff, issue]);
const approved = flowOf('onboarding', [security, coolOff, issue]);

/** The request as it came to the wait behind its approval. */
function atTheWait(): PlayedRequest {
  const played = new PlayedRequest(approved);
  played.decide('sam', 'approve');
  played.decide('sue', 'approve');
  expect(played.plan).toMatchObject({ state: 'evaluating', effects: [] });
  return played;
}

test('a request stands at a wait until it is over, says until when, and has one timer for it', () => {
  const played = new PlayedRequest(onboarding);
  const dueAt = new Date(played.nowMs + hourMs).toISOString();
  expect(played.plan).toMatchObject({
    state: 'evaluating',
    effects: [],
    timer: { dueAt, delayMs: hourMs },
    summary: `evaluating: stage cool-off, until ${dueAt}`,
  });
  played.passTime(hourMs - 1);
  played.nudge();
  expect(played.ordered).toEqual([]);
  expect(played.plan.timer).toMatchObject({ dueAt, delayMs: 1 });
  played.passTime(1);
  played.nudge();
  expect(played.ordered).toEqual(['create-v1']);
});

test('a timer that fires at the end of the wait passes it; one that fires early does not', () => {
  const played = new PlayedRequest(onboarding);
  const id = played.plan.timer?.id ?? '';
  played.passTime(hourMs - secondMs);
  played.take({ kind: 'timer', id });
  expect(played.last.result).toMatchObject({ isRecorded: false, next: { effects: [] } });
  expect(played.fireTimer()).toBe(true);
  expect(played.ordered).toEqual(['create-v1']);
});

test('the clock of a wait runs on under a pause, which stops the exit', () => {
  const played = new PlayedRequest(onboarding);
  played.command({ do: 'pause', by: 'lea', reason: 'a look first' });
  played.passTime(2 * hourMs);
  played.nudge();
  expect(played.plan).toMatchObject({ state: 'held', effects: [] });
  played.command({ do: 'resume', by: 'lea', all: false, reason: 'seen' });
  expect(played.ordered).toEqual(['create-v1']);
});

test('a freeze leaves the wait alone, and holds what comes after it', () => {
  const played = new PlayedRequest(onboarding);
  played.hold('freeze', 'ida');
  played.nudge();
  expect(played.plan.state).toBe('evaluating');
  played.fireTimer();
  expect(played.plan).toMatchObject({ state: 'held', effects: [] });
});

test('a waiting request is cancelled at once, and expires with its own life', () => {
  const cancelled = new PlayedRequest(onboarding);
  expect(cancelled.command({ do: 'cancel', by: 'rui', reason: 'not needed' })).toEqual({ accepted: true });
  expect(cancelled.plan).toMatchObject({ state: 'cancelled', done: true });

  const late = new PlayedRequest(flowOf('onboarding', [{ id: 'long', wait: { for: 'P2D' } }, security, issue]));
  late.fireTimer();
  expect(late.plan.state).toBe('awaiting-approval');
  const expiring = new PlayedRequest(
    flowOf('onboarding', [{ id: 'long', wait: { for: 'P2D' } }, { id: 'longer', wait: { for: 'P2D' } }, issue]),
  );
  expiring.fireTimer();
  expect(expiring.state.stage).toBe(1);
  expect(expiring.plan.timer?.delayMs).toBe(dayMs);
  expiring.fireTimer();
  expect(expiring.facts.request).toMatchObject({ state: 'expired', reason: 'request-timeout' });
});

test('a wait that does not apply is passed over', () => {
  const played = new PlayedRequest(flowOf('onboarding', [{ ...coolOff, when: 'risk.score > 90' }, issue]));
  expect(played.ordered).toEqual(['create-v1']);
});

test('a wait that comes to apply is owed: the request goes back to it, and nothing is begun', () => {
  const many: Stage = { ...coolOff, when: 'size(subject.scopes) > 2' };
  const played = new PlayedRequest(flowOf('onboarding', [many, { id: 'second', wait: { for: 'PT1H' } }, issue]));
  played.edit((facts) => ({
    ...facts,
    guardFacts: { ...facts.guardFacts, subject: { ...facts.guardFacts.subject, scopes: ['a', 'b', 'c'] } },
  }));
  played.fireTimer();
  expect(played.last.result.audit).toContainEqual({ kind: 'request.wait-owed', data: { stage: 'cool-off' } });
  expect(played.plan).toMatchObject({ state: 'evaluating', effects: [] });
  expect(played.state.stage).toBe(0);
  played.fireTimer();
  played.fireTimer();
  expect(played.ordered).toEqual(['create-v1']);
});

test('what was approved anew is waited for anew: the wait is for those who would object to it', () => {
  const played = atTheWait();
  played.person('sam', { active: false });
  played.fireTimer();
  expect(played.plan.state).toBe('awaiting-approval');
  played.decide('sid', 'approve');
  expect(played.plan).toMatchObject({ state: 'evaluating', effects: [] });
  expect(played.plan.timer?.delayMs).toBe(hourMs);
  played.fireTimer();
  expect(played.ordered).toEqual(['create-v1']);
});

test('an amendment is waited for like the request that it changes', () => {
  const played = new PlayedRequest(flowOf('onboarding', [coolOff, security, issue]));
  played.fireTimer();
  expect(played.state.waited).toEqual(['cool-off']);
  played.command({ do: 'amend', by: 'rui', reason: 'fewer', subject: { scopes: ['a'] } });
  played.nudge();
  expect(played.plan).toMatchObject({ state: 'evaluating', effects: [] });
  expect(played.state.waited).toEqual([]);
});

test('a revocation waits where its flow says so, and a responder’s does not', () => {
  const flow = flowOf('revocation', [coolOff, revoke]);
  expect(new PlayedRequest(flow).plan).toMatchObject({ state: 'evaluating', effects: [] });
  expect(new PlayedRequest(flow, { trigger: 'incident', atOnce: true }).plan.state).toBe('executing');
});

test('a flow without waits keeps the state that it had before there were any', () => {
  const played = new PlayedRequest(flowOf('onboarding', [ownership, security, issue]));
  expect(Object.keys(played.state).sort()).toEqual(['effect', 'enteredAt', 'entry', 'escalated', 'stage']);
});

test('a test of a flow waits through a wait, and completes only when it does', () => {
  const given = { name: 'a test', given: {}, events: [] };
  expect(runFlowTest(onboarding, { ...given, expect: { outcome: 'waiting', stage: 'cool-off' } }).passed).toBe(true);
  expect(runFlowTest(onboarding, { ...given, expect: { outcome: 'completed' } }).passed).toBe(false);
  for (const [wait, outcome] of [
    ['PT59M', 'waiting'],
    ['PT1H', 'completed'],
  ] as const)
    expect(runFlowTest(onboarding, { ...given, events: [{ wait }], expect: { outcome } }).passed).toBe(true);
});
