import { expect, test } from 'vitest';
import type { Flow, FlowTest, FlowTestEvent, FlowTestExpectation } from '../../../domain/flow/language.ts';
import { parseFlow } from '../../../domain/flow/parse.ts';
import { runFlowTest } from '../../../domain/flow/testing.ts';
import { soundFlow } from './flowSource.ts';

function sound(): Flow {
  const parsed = parseFlow(soundFlow, 'sound.flow.yaml');
  if (!parsed.ok) throw new Error('the sound flow does not parse');
  return parsed.flow;
}

/** The sound flow with a risk that asks for approval, in production. */
function flowTest(
  events: readonly FlowTestEvent[],
  expected: FlowTestExpectation,
  given: FlowTest['given'] = {},
): FlowTest {
  return {
    name: 'a test',
    given: { subject: { environment: 'production' }, risk: { score: 50 }, ...given },
    events,
    expect: expected,
  };
}

const approvals: readonly FlowTestEvent[] = [
  { decision: 'approve', by: 'security-1' },
  { decision: 'approve', by: 'security-2' },
];

test('a test passes when everything it expects comes out', () => {
  expect(runFlowTest(sound(), flowTest(approvals, { outcome: 'issuing', stage: 'issue' }))).toMatchObject({
    passed: true,
  });
  expect(runFlowTest(sound(), flowTest(approvals, { outcome: 'completed' }))).toMatchObject({ passed: true });
});

test.each<[string, FlowTestExpectation]>([
  ['the outcome', { outcome: 'denied' }],
  ['the reason', { outcome: 'waiting', reason: 'owner-not-valid' }],
  ['the stage', { outcome: 'waiting', stage: 'issue' }],
  ['the refusal', { outcome: 'waiting', refused: 'self-approval' }],
])('a test fails when %s is another, and says what was expected, what came, and how', (_what, expected) => {
  const result = runFlowTest(sound(), flowTest(approvals.slice(0, 1), expected));
  expect(result).toEqual({
    passed: false,
    expected,
    got: { outcome: 'waiting', stage: 'review' },
    trace: ['+0h opened → awaiting-approval at review', '+0h approve by security-1 → awaiting-approval at review'],
  });
});

test('a refusal that the test does not expect fails it', () => {
  const result = runFlowTest(sound(), flowTest([{ decision: 'approve', by: 'bystander' }], { outcome: 'waiting' }));
  expect(result).toMatchObject({ passed: false, got: { refused: 'not-eligible' } });
});

test('a test about a subject that the flow does not cover fails: it shows nothing about the flow', () => {
  const elsewhere = flowTest([], { outcome: 'waiting' }, { subject: { environment: 'staging' } });
  expect(runFlowTest(sound(), elsewhere)).toMatchObject({ passed: false, got: { outcome: 'not-covered' } });
});

test('deadlines that fall due while time passes act at their own instant, not at the end of the wait', () => {
  const lead = { people: { lea: { groups: ['security-lead'], active: true } } };
  const early = flowTest(
    [{ wait: 'PT3H59M' }, { decision: 'approve', by: 'lea' }],
    { outcome: 'waiting', refused: 'not-eligible' },
    lead,
  );
  const late = flowTest([{ wait: 'PT4H' }, { decision: 'approve', by: 'lea' }], { outcome: 'waiting' }, lead);
  expect([early, late].map((each) => runFlowTest(sound(), each).passed)).toEqual([true, true]);
  const denied = runFlowTest(sound(), flowTest([{ wait: 'P30D' }], { outcome: 'denied', reason: 'approval-timeout' }));
  expect(denied.passed).toBe(true);
  expect(denied.trace.find((line) => line.includes('denied'))).toMatch(/^\+24h timer/);
});

test('expecting completion never lets the time of people run on', () => {
  const result = runFlowTest(sound(), flowTest([], { outcome: 'completed' }));
  expect(result).toMatchObject({ passed: false, got: { outcome: 'waiting', stage: 'review' } });
});

test('a guard that cannot be evaluated denies, in a test as everywhere', () => {
  const flow = sound();
  const stages = [
    { id: 'ownership', verify: { that: 'subject.labels.absent == "x"', otherwise: 'owner-not-valid' } },
    ...flow.stages.slice(1),
  ];
  expect(runFlowTest({ ...flow, stages }, flowTest([], { outcome: 'denied', reason: 'guard-error' }))).toMatchObject({
    passed: true,
  });
});

test('the same flow and test give the same result every time', () => {
  const order = flowTest([{ freeze: true }, ...approvals, { wait: 'PT1H' }, { thaw: true }], { outcome: 'completed' });
  expect(runFlowTest(sound(), order)).toEqual(runFlowTest(sound(), order));
});

const proven: Flow = {
  ...sound(),
  stages: [
    { id: 'proof', when: 'risk.score >= 50', stepUp: { method: 'session', by: 'owner', maxAge: 'PT5M' } },
    { id: 'issue', effect: 'issue' },
  ],
};

test.each<[string, FlowTestEvent, FlowTestExpectation]>([
  ['afresh', { confirm: 'owner' }, { outcome: 'completed' }],
  ['by a sign-in as old as it may be', { confirm: 'owner', age: 'PT5M' }, { outcome: 'completed' }],
  [
    'by an older one',
    { confirm: 'owner', age: 'PT5M1S' },
    { outcome: 'waiting', stage: 'proof', refused: 'insufficient-user-authentication' },
  ],
  ['by somebody else', { confirm: 'requester' }, { outcome: 'waiting', stage: 'proof', refused: 'not-eligible' }],
  ['by an approval', { decision: 'approve', by: 'owner' }, { outcome: 'waiting', refused: 'not-awaiting-approval' }],
])('a test proves %s', (_what, event, expected) => {
  expect(runFlowTest(proven, flowTest([event], expected))).toMatchObject({ passed: true });
});

test('a risk that a test gives is what guards read; where it gives none, the weights are what counts', () => {
  const scopes = (list: readonly string[]) => ({ subject: { environment: 'production', scopes: list } });
  const ends = (given: FlowTest['given'], outcome: FlowTestExpectation['outcome']) =>
    runFlowTest(proven, { name: 'a test', given, events: [], expect: { outcome } }).passed;
  expect(ends(scopes(['ledger:read']), 'waiting')).toBe(true);
  expect(ends(scopes([]), 'completed')).toBe(true);
  expect(ends({ ...scopes(['ledger:read']), risk: { score: 0 } }, 'completed')).toBe(true);
  expect(ends({ ...scopes([]), risk: { score: 50 } }, 'waiting')).toBe(true);
});
