import { afterAll, beforeAll, expect, test } from 'vitest';
import { Faults, issuerCalls, nameOf, type Point, storeCalls } from '../../setup/faulty.ts';
import { type TestInstallation, testInstallation } from '../../setup/installation.ts';
import { unattendedFlows } from './flows.ts';
import {
  expectNoFailedWorkflowTasks,
  expectReplayable,
  expectSound,
  expectWholeEvidence,
  untilQuiet,
  watch,
} from './outside.ts';
import { attendUntilFinal, isServedThroughout, type Shape, type Subject, shapes } from './shapes.ts';
import { eachOf, stepsOf } from './steps.ts';

const faults = new Faults();
let installation: TestInstallation;
let stopWorker: () => Promise<void>;

beforeAll(async () => {
  installation = await testInstallation({ flows: unattendedFlows, leaseMs: 6_000, ...faults.wraps });
  stopWorker = await installation.startWorker();
});
afterAll(async () => {
  await stopWorker?.();
  await installation?.close();
});

/** One identity whose step fails twice: before its side effect, then, repeated, after it. */
interface Case {
  readonly shape: Shape;
  readonly subject: Subject;
  readonly step: Point;
}

test('a step that fails before, and then after, its side effect leaves no orphan, no second current, nothing served but refused', async () => {
  const planned: Omit<Case, 'subject'>[] = [];
  const unharmed: { shape: Shape; subject: Subject }[] = [];
  for (const shape of shapes) {
    const { steps, subject } = await stepsOf(installation, faults, shape);
    unharmed.push({ shape, subject });
    planned.push(...steps.map((step) => ({ shape, step })));
  }
  expect(attackedCalls(planned.map(({ step }) => step))).toEqual(callsOfEffects());

  const cases: Case[] = [];
  await eachOf(planned, 8, async ({ shape, step }) => {
    cases.push({ shape, step, subject: await shape.prepare(installation) });
  });
  const watching = watch(
    installation,
    cases.flatMap(({ shape, subject }) => (isServedThroughout(shape, subject) ? [subject.identityId] : [])),
  );
  try {
    await eachOf(cases, 16, runWithFailures);
    await untilQuiet(installation);
  } finally {
    await watching.stop();
  }
  expect(watching.wrong).toEqual([]);
  expect(watching.logins()).toBeGreaterThan(0);
  for (const { shape, subject } of unharmed) await expectSound(installation, subject, shape.ends, shape.name);
  for (const { shape, subject, step } of cases)
    await expectSound(installation, subject, shape.ends, `${shape.name} with failures at ${nameOf(step)}`);
  await expectWholeEvidence(installation);
  await expectReplayable(installation);
  await expectNoFailedWorkflowTasks(installation);
}, 240_000);

async function runWithFailures({ shape, subject, step }: Case): Promise<void> {
  const { workflowId } = subject;
  const hang = shape.hangsAt === undefined ? undefined : faults.hang(workflowId, shape.hangsAt);
  const before = faults.failOnce(workflowId, { ...step, when: 'before' });
  const after = faults.failOnce(workflowId, { ...step, when: 'after' });
  await shape.begin(installation, subject, hang?.reached ?? Promise.resolve());
  await attendUntilFinal(installation, subject);
  await Promise.all([before.reached, after.reached]);
  hang?.release();
}

function attackedCalls(steps: readonly Point[]): string[] {
  const calls = steps.map(({ step }) => step.slice(step.indexOf(': ') + 2));
  return [...new Set(calls)].sort();
}

/** All of both interfaces that any effect calls, and the ledger's transactions. */
function callsOfEffects(): string[] {
  const made = (part: string, calls: Readonly<Record<string, string>>): string[] =>
    Object.entries(calls).flatMap(([call, by]) => (by === 'effects' ? [`${part}.${call}`] : []));
  return [...made('issuer', issuerCalls), ...made('store', storeCalls), 'ledger.transaction'].sort();
}
