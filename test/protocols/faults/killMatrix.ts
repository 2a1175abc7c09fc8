import { expect } from 'vitest';
import { type Faults, nameOf, type Point } from '../../setup/faulty.ts';
import type { TestInstallation } from '../../setup/installation.ts';
import { startCrashingWorker } from './crash.ts';
import { expectReplayable, expectSound, expectWholeEvidence, untilQuiet, watch } from './outside.ts';
import { attendUntilFinal, isServedThroughout, type Shape, type Subject } from './shapes.ts';
import { eachOf, stepsOf } from './steps.ts';

/** One identity whose worker is killed at one point. */
interface Case {
  readonly shape: Shape;
  readonly subject: Subject;
  readonly point: Point;
}

/** Below what a worker carries out at once: a workflow that has stopped at its point keeps its place. */
const effectsPerKill = 30;
const transactionsPerKill = 12;

/**
 * Kills the worker at every point of these shapes, as many at once as a worker holds, each time with the workflows of the
 * kill before still recovering; then a worker that lives finishes everything, and what is left is looked at from outside.
 * @param faults of the installation's own worker, for finding the points
 */
export async function killEverywhere(
  installation: TestInstallation,
  faults: Faults,
  shapes: readonly Shape[],
): Promise<void> {
  const cases = await preparedCases(installation, faults, shapes);
  const watching = watch(
    installation,
    cases.flatMap(({ shape, subject }) => (isServedThroughout(shape, subject) ? [subject.identityId] : [])),
  );
  try {
    const work: Promise<void>[] = [];
    for (const kill of kills(cases)) await killOnce(installation, kill, work);
    await finish(installation, work);
  } finally {
    await watching.stop();
  }
  expect(watching.wrong).toEqual([]);
  expect(watching.logins()).toBeGreaterThan(0);
  for (const { shape, subject, point } of cases)
    await expectSound(installation, subject, shape.ends, `${shape.name}, killed ${nameOf(point)}`);
  await expectWholeEvidence(installation);
  await expectReplayable(installation);
}

/** Begins these cases under one worker and returns when it is dead; `work` gains what must still come to its end. */
async function killOnce(installation: TestInstallation, kill: readonly Case[], work: Promise<void>[]): Promise<void> {
  const worker = await startCrashingWorker(installation, {
    deaths: kill.map(({ subject, point }) => ({ workflowId: subject.workflowId, point })),
    hangs: kill.flatMap(({ shape, subject }) =>
      shape.hangsAt === undefined ? [] : [{ workflowId: subject.workflowId, point: shape.hangsAt }],
    ),
  });
  for (const { shape, subject } of kill) {
    const begun = shape.begin(installation, subject, worker.hangs(subject.workflowId));
    work.push(begun.then(() => attendUntilFinal(installation, subject)));
  }
  // What fails here would otherwise leave the worker waiting for ever.
  const failed = Promise.all(work).then(() => forever());
  try {
    await Promise.race([worker.killed, failed]);
  } catch (cause) {
    const alive = kill.filter(({ subject }) => worker.alive.has(subject.workflowId));
    const points = alive.map(({ shape, point }) => `${shape.name} ${nameOf(point)}`);
    throw new Error(`The worker was not killed; not at their points: ${points.join(', ')}.`, { cause });
  } finally {
    worker.stop();
  }
}

async function finish(installation: TestInstallation, work: readonly Promise<void>[]): Promise<void> {
  const stopWorker = await installation.startWorker();
  try {
    await Promise.all(work);
    await untilQuiet(installation);
  } finally {
    await stopWorker();
  }
}

function forever(): Promise<never> {
  return new Promise(() => undefined);
}

/** Every identity at the beginning of its shape, by a worker that lives. */
async function preparedCases(
  installation: TestInstallation,
  faults: Faults,
  shapes: readonly Shape[],
): Promise<readonly Case[]> {
  const stopWorker = await installation.startWorker();
  try {
    const planned: Omit<Case, 'subject'>[] = [];
    for (const shape of shapes) {
      const { steps } = await stepsOf(installation, faults, shape);
      planned.push(...killPoints(steps).map((point) => ({ shape, point })));
    }
    const cases: Case[] = [];
    await eachOf(planned, 8, async ({ shape, point }) => {
      cases.push({ shape, point, subject: await shape.prepare(installation) });
    });
    return cases;
  } finally {
    await stopWorker();
  }
}

/** After every step; before it only where that is another moment than after the step before. */
function killPoints(steps: readonly Point[]): readonly Point[] {
  return steps.flatMap((step, index) => {
    const activity = activityOf(step);
    const isFirst = !steps.slice(0, index).some((earlier) => activityOf(earlier) === activity);
    const after: Point = { ...step, when: 'after' };
    return isFirst || isTransaction(step) || keepsSomethingBefore.includes(step.step) ? [step, after] : [after];
  });
}

/** The ledger keeps the destroy's probe just before. */
const keepsSomethingBefore: readonly string[] = ['destroy: store.discard'];

function activityOf({ step }: Point): string {
  return step.slice(0, step.indexOf(':'));
}

function isTransaction({ step }: Point): boolean {
  return step.endsWith('ledger.transaction');
}

function kills(cases: readonly Case[]): readonly (readonly Case[])[] {
  const [transactions, effects] = [true, false].map((wanted) =>
    cases.filter(({ point }) => isTransaction(point) === wanted),
  );
  const count = Math.max(
    Math.ceil((transactions?.length ?? 0) / transactionsPerKill),
    Math.ceil((effects?.length ?? 0) / effectsPerKill),
  );
  const dealt = (from: readonly Case[] | undefined, kill: number) =>
    from?.filter((_, index) => index % count === kill) ?? [];
  return Array.from({ length: count }, (_, kill) => [...dealt(transactions, kill), ...dealt(effects, kill)]);
}
