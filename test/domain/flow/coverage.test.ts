import { expect, test } from 'vitest';
import { Coverage, coveredPercent } from '../../../domain/flow/coverage.ts';
import type { Flow, FlowTest } from '../../../domain/flow/language.ts';
import { parseFlow } from '../../../domain/flow/parse.ts';
import { runFlowTest } from '../../../domain/flow/testing.ts';
import { soundFlow } from './flowSource.ts';

function sound(): Flow {
  const parsed = parseFlow(soundFlow, 'sound.flow.yaml');
  if (!parsed.ok) throw new Error('the sound flow does not parse');
  return parsed.flow;
}

const production = { subject: { environment: 'production' } };
const risky = { subject: { environment: 'production', scopes: ['ledger:read'] } };
const approve = (by: string) => ({ decision: 'approve', by }) as const;

function covering(tests: readonly Omit<FlowTest, 'name'>[], flow = sound()): Coverage {
  const coverage = new Coverage(flow);
  for (const given of tests) expect(runFlowTest(flow, { name: 'a test', ...given }, coverage).passed).toBe(true);
  return coverage;
}

const shown = (coverage: Coverage) =>
  coverage.items.filter(({ covered }) => covered).map(({ part, what }) => `${part} ${what}`);

test('without tests nothing is covered, and everything that could be is named', () => {
  const { items } = covering([]);
  expect(coveredPercent(items)).toBe(0);
  expect(items.map(({ part, what }) => `${part} ${what}`)).toEqual([
    'stage ownership',
    'stage review',
    'stage issue',
    'stage tell',
    'guard subject where: true',
    'guard subject where: false',
    'guard risk reads the ledger: true',
    'guard risk reads the ledger: false',
    'guard ownership that: true',
    'guard ownership that: false',
    'guard review when: true',
    'guard review when: false',
    'end completed',
    'end denied: owner-not-valid',
    'end denied: denied-by-approver',
    'end denied: approval-timeout',
    'end expired: request-timeout',
  ]);
});

test('a stage that was passed over is not covered: only its guard was seen to be false', () => {
  const coverage = covering([{ given: production, events: [], expect: { outcome: 'completed' } }]);
  expect(shown(coverage)).toEqual([
    'stage ownership',
    'stage issue',
    'stage tell',
    'guard subject where: true',
    'guard risk reads the ledger: false',
    'guard ownership that: true',
    'guard review when: false',
    'end completed',
  ]);
});

test('a stage that the request waits at is covered, and the end that no test reached is not', () => {
  const coverage = covering([{ given: risky, events: [approve('security-1')], expect: { outcome: 'waiting' } }]);
  expect(shown(coverage)).toContain('stage review');
  expect(shown(coverage).filter((item) => item.startsWith('end'))).toEqual([]);
});

test('a denial covers the stage that denied, its guard being false, and the end with its reason', () => {
  const gone = { ...production, owner: { active: false } };
  const coverage = covering([{ given: gone, events: [], expect: { outcome: 'denied' } }]);
  expect(shown(coverage)).toEqual([
    'stage ownership',
    'guard subject where: true',
    'guard risk reads the ledger: false',
    'guard ownership that: false',
    'end denied: owner-not-valid',
  ]);
});

test('a subject of another kind says nothing about the guard that was never asked', () => {
  const subject = (changes: object) =>
    ({ given: { subject: changes }, events: [], expect: { outcome: 'not-covered' } }) as const;
  expect(shown(covering([subject({ kind: 'agent', environment: 'staging' })]))).toEqual([]);
  expect(shown(covering([subject({ environment: 'staging' })]))).toEqual(['guard subject where: false']);
});

test('tests that reach every end and both sides of every guard cover all of it', () => {
  const { items } = covering([
    { given: production, events: [], expect: { outcome: 'completed' } },
    { given: { ...production, owner: { active: false } }, events: [], expect: { outcome: 'denied' } },
    { given: { subject: { environment: 'test' } }, events: [], expect: { outcome: 'not-covered' } },
    { given: risky, events: [{ decision: 'deny', by: 'security-1' }], expect: { outcome: 'denied' } },
    { given: risky, events: [{ wait: 'P1D' }], expect: { outcome: 'denied', reason: 'approval-timeout' } },
    {
      given: risky,
      events: [{ freeze: true }, approve('security-1'), approve('security-2'), { wait: 'P3D' }],
      expect: { outcome: 'expired' },
    },
  ]);
  expect(items.filter(({ covered }) => !covered)).toEqual([]);
  expect(coveredPercent(items)).toBe(100);
});

test('a wait is covered by a request that stands at it, and a waived stage is not', () => {
  const waiting: Flow = {
    ...sound(),
    stages: [{ id: 'cool-off', wait: { for: 'PT1H' } }, ...sound().stages],
    exceptions: [
      {
        id: 'spared',
        subject: { name: 'spared', environment: 'production' },
        stages: ['review', 'cool-off'],
        until: '2027-01-01T00:00:00Z',
        because: 'a test',
      },
    ],
  };
  const standing = covering([{ given: risky, events: [], expect: { outcome: 'waiting', stage: 'cool-off' } }], waiting);
  expect(shown(standing)).toContain('stage cool-off');
  const given = { subject: { ...risky.subject, name: 'spared' } };
  const waived = shown(covering([{ given, events: [], expect: { outcome: 'completed' } }], waiting));
  expect(waived).toContain('guard review when: true');
  for (const stage of ['cool-off', 'review']) expect(waived).not.toContain(`stage ${stage}`);
});

test('the end of the request’s own time counts only where something can last that long', () => {
  const flow = sound();
  const revocation = { ...flow, on: 'revocation', stages: flow.stages.slice(1) } as Flow;
  expect(new Coverage(revocation).items.map(({ what }) => what)).not.toContain('expired: request-timeout');
  const short = { ...revocation, limits: { ...flow.limits, requestTtl: 'P1D' } };
  expect(new Coverage(short).items.map(({ what }) => what)).toContain('expired: request-timeout');
  expect(new Coverage(short).items.map(({ what }) => what)).not.toContain('denied: approval-timeout');
});
