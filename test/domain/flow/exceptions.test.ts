import { expect, test } from 'vitest';
import type { Flow, FlowException, Stage } from '../../../domain/flow/language.ts';
import { runFlowTest } from '../../../domain/flow/testing.ts';
import { exampleFacts } from './exampleFacts.ts';
import { dayMs, flowOf, hourMs, issue, ownership, PlayedRequest, revoke, security } from './playedRequest.ts';

/** Exceptions: what they waive, for whom, until when, and that each is told. */

const { id, name, environment } = exampleFacts.subject;
const beginsMs = Date.parse(exampleFacts.now);
const after = (ms: number): string => new Date(beginsMs + ms).toISOString();

const spared: FlowException = {
  id: 'migration',
  subject: { name, environment },
  stages: ['security'],
  until: after(dayMs),
  because: 'the old reader is replaced',
};
const coolOff: Stage = { id: 'cool-off', wait: { for: 'PT1H' } };
const stages = [ownership, security, issue];

function excepting(change: Partial<FlowException> = {}, of: readonly Stage[] = stages): Flow {
  return { ...flowOf('onboarding', of), exceptions: [{ ...spared, ...change }] };
}

const told = (played: PlayedRequest) =>
  played.steps.flatMap(({ result }) => result.audit.filter(({ kind }) => kind.includes('waive')));

test('a stage is waived for the subject, and the waiver is told with the exception and its end', () => {
  const played = new PlayedRequest(excepting());
  expect(played.ordered).toEqual(['create-v1']);
  const waiver = { stage: 'security', exception: 'migration', until: spared.until };
  expect(told(played)).toEqual([{ kind: 'request.stage-waived', data: waiver }]);
  expect(played.state.waived).toEqual([waiver]);
  played.settle();
  expect(played.plan.state).toBe('completed');
  expect(told(played)).toHaveLength(1);
});

test('an identity may be named by its id', () => {
  expect(new PlayedRequest(excepting({ subject: { id } })).ordered).toEqual(['create-v1']);
  expect(new PlayedRequest(excepting({ subject: { id: 'another' } })).ordered).toEqual([]);
});

test.each([
  ['another name', { name: 'payments-writer', environment }],
  ['another environment', { name, environment: 'staging' }],
  ['a name that looks like it', { name: name.replace('m', 'rn'), environment }],
  ['the name in capitals', { name: name.toUpperCase(), environment }],
  ['the environment in capitals', { name, environment: environment.toUpperCase() }],
])('%s is not waived', (_what, subject) => {
  expect(new PlayedRequest(excepting({ subject })).plan.state).toBe('awaiting-approval');
});

test('only the named stages are waived', () => {
  const unowned = new PlayedRequest(excepting());
  unowned.person('ola', { active: false });
  unowned.answer('create-v1', 'done');
  expect(unowned.facts.request).toMatchObject({ state: 'denied', reason: 'owner-not-valid' });
  const again = new PlayedRequest(excepting({ stages: ['ownership'] }));
  expect(again.plan.state).toBe('awaiting-approval');
  expect(again.state.waived?.map(({ stage }) => stage)).toEqual(['ownership']);
});

test('it counts until its instant, and from then on for nothing', () => {
  const until = after(hourMs);
  const flow = excepting({ until, stages: ['security'] }, [{ id: 'first', wait: { for: 'PT1H' } }, security, issue]);
  const over = new PlayedRequest(flow);
  over.fireTimer();
  expect(Date.parse(until)).toBe(over.nowMs);
  expect(over.plan.state).toBe('awaiting-approval');
  expect(told(over)).toEqual([]);

  const sooner = new PlayedRequest({ ...flow, exceptions: [{ ...spared, until: after(hourMs + 1) }] });
  sooner.fireTimer();
  expect(sooner.ordered).toEqual(['create-v1']);
});

test('the begin asks again: an approval whose exception has ended is waited for, and then issues', () => {
  const played = new PlayedRequest(excepting({ until: after(hourMs) }, [security, coolOff, issue]));
  expect(played.state.stage).toBe(1);
  played.fireTimer();
  expect(told(played).map(({ kind }) => kind)).toEqual(['request.stage-waived', 'request.waiver-ended']);
  expect(played.plan).toMatchObject({ state: 'awaiting-approval', effects: [] });
  expect(played.state.waived).toEqual([]);
  played.decide('sam', 'approve');
  played.decide('sue', 'approve');
  played.fireTimer();
  expect(played.ordered).toEqual(['create-v1']);
});

test('the commit asks again: what was made under an exception that ended meanwhile is destroyed', () => {
  const played = new PlayedRequest(excepting({ until: after(1_000) }));
  expect(played.ordered).toEqual(['create-v1']);
  played.passTime(1_000);
  played.answer('create-v1', 'done');
  expect(played.last.result.changes.map(({ change }) => change)).not.toContain('make-current');
  expect(played.credentials).toEqual(['v1 destroying']);
  expect(played.plan.state).toBe('awaiting-approval');
});

test('a check whose exception has ended is made: it passes or denies like any other', () => {
  const flow = excepting({ until: after(hourMs), stages: ['ownership'] }, [ownership, coolOff, issue]);
  const sound = new PlayedRequest(flow);
  sound.fireTimer();
  expect(sound.ordered).toEqual(['create-v1']);
  const unowned = new PlayedRequest(flow);
  unowned.person('ola', { active: false });
  unowned.fireTimer();
  expect(unowned.facts.request).toMatchObject({ state: 'denied', reason: 'owner-not-valid' });
});

test('a wait that was waived and is no more is waited', () => {
  const flow = excepting({ until: after(hourMs), stages: ['cool-off'] }, [coolOff, security, issue]);
  const played = new PlayedRequest(flow);
  expect(played.plan.state).toBe('awaiting-approval');
  played.passTime(2 * hourMs);
  played.decide('sam', 'approve');
  played.decide('sue', 'approve');
  expect(played.plan).toMatchObject({ state: 'evaluating', effects: [], timer: { delayMs: hourMs } });
  expect(played.state.stage).toBe(0);
});

test('a pause keeps the request at a waived stage; when the exception ends there, the stage stands', () => {
  const flow = excepting({ until: after(hourMs) }, [{ id: 'first', wait: { for: 'PT30M' } }, security, issue]);
  const played = new PlayedRequest(flow);
  played.command({ do: 'pause', by: 'lea', reason: 'a look first' });
  played.passTime(2 * hourMs);
  played.command({ do: 'resume', by: 'lea', all: false, reason: 'seen' });
  expect(played.plan.state).toBe('awaiting-approval');
});

test('where one exception has ended and another has not, the other waives, and that is told too', () => {
  const longer: FlowException = { ...spared, id: 'longer', until: after(dayMs) };
  const flow: Flow = {
    ...flowOf('onboarding', [security, coolOff, issue]),
    exceptions: [{ ...spared, until: after(60_000) }, longer],
  };
  const played = new PlayedRequest(flow);
  played.fireTimer();
  expect(played.ordered).toEqual(['create-v1']);
  expect(told(played).map(({ data }) => data['exception'])).toEqual(['migration', 'longer']);
});

test('a condition is asked before an exception: what fails denies, what does not hold is passed over', () => {
  const failing = excepting({}, [{ ...security, when: 'subject.labels.absent == "x"' }, issue]);
  expect(new PlayedRequest(failing).facts.request).toMatchObject({ state: 'denied', reason: 'guard-error' });
  const skipped = new PlayedRequest(excepting({}, [{ ...security, when: 'risk.score > 90' }, issue]));
  expect(skipped.ordered).toEqual(['create-v1']);
  expect(told(skipped)).toEqual([]);
});

test('no exception holds against a freeze, an expired identity or the life of the request', () => {
  const frozen = new PlayedRequest(excepting());
  frozen.hold('freeze', 'ida');
  frozen.answer('create-v1', 'done');
  expect(frozen.credentials).toEqual(['v1 destroying']);
  const held = new PlayedRequest(excepting({ until: after(90 * dayMs) }, [security, coolOff, issue]));
  held.command({ do: 'pause', by: 'lea', reason: 'for long' });
  while (held.plan.state === 'held') held.fireTimer();
  expect(held.facts.request).toMatchObject({ state: 'expired', reason: 'request-timeout' });
});

test('a revocation asks nothing again: what was waived on its way stays so', () => {
  const flow: Flow = {
    ...flowOf('revocation', [{ ...security, id: 'security' }, coolOff, revoke]),
    exceptions: [{ ...spared, until: after(60_000) }],
  };
  const played = new PlayedRequest(flow);
  played.fireTimer();
  expect(played.facts.identity.state).toBe('revoking');
});

test('a test of a flow sees its exceptions, at the instant that it is given', () => {
  const flow = excepting({ until: '2026-02-01T00:00:00Z' });
  const run = (now: string, outcome: 'completed' | 'waiting', subject: object = { name, environment }) =>
    runFlowTest(flow, { name: 'a test', given: { now, subject }, events: [], expect: { outcome } }).passed;
  expect(run('2026-01-31T23:59:59Z', 'completed')).toBe(true);
  expect(run('2026-02-01T00:00:00Z', 'waiting')).toBe(true);
  expect(run('2026-01-31T23:59:59Z', 'waiting', { name: 'another', environment })).toBe(true);
});
