import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { lifecycleScheduleId, workflowIdOf } from '../../contracts/names.ts';
import { makeCurrent, settleCurrent, VersionNotPolled } from '../../worker/deploymentRouting.ts';
import { type VersionView, viewDeployment } from '../../worker/deploymentView.ts';
import { ensureLifecycleSchedule } from '../../worker/lifecycleSchedule.ts';
import { approvedFlow, plainFlow } from '../protocols/flows.ts';
import { eventually } from '../setup/eventually.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { decide, onboardingOrder, opened } from '../setup/orders.ts';
import { placeOf, startBuild } from './versionedWorkers.ts';

const patience = { patienceMs: 30_000 };
let installation: TestInstallation;

beforeEach(async () => {
  installation = await testInstallation({ flows: [plainFlow('onboarding'), approvedFlow('onboarding')] });
});
afterEach(() => installation.close());

async function start(...build: Parameters<typeof startBuild> extends [unknown, ...infer Rest] ? Rest : never) {
  const stop = await startBuild(installation, ...build);
  const stopOnce = once(stop);
  onTestFinished(stopOnce);
  return stopOnce;
}

function once(act: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => {
    done ??= act();
    return done;
  };
}

const settle = (buildId: string, madeCurrentBy: 'operator' | 'worker') =>
  settleCurrent(placeOf(installation), { buildId, madeCurrentBy, ...patience });

async function statuses(): Promise<Record<string, VersionView['status']>> {
  const { versions } = await viewDeployment(placeOf(installation));
  return Object.fromEntries(versions.map(({ buildId, status }) => [buildId, status]));
}

test('the first worker of an installation gets the work without anybody deciding; a later release waits for its operator', async () => {
  await start('first');
  expect(await settle('first', 'operator')).toBe(true);
  await start('second');
  expect(await settle('second', 'operator')).toBe(false);
  expect(await statuses()).toMatchObject({ first: 'current' });

  await makeCurrent(placeOf(installation), 'second', patience);
  expect(await statuses()).toMatchObject({ second: 'current' });
  expect(await settle('first', 'operator'), 'one that is started again takes nothing back').toBe(false);
  expect(await settle('first', 'worker'), 'unless its configuration says so').toBe(true);
});

test('beside an unversioned worker the operator decides, also about the first versioned one', async () => {
  await start(undefined);
  await start('first');
  await eventually(async () => {
    expect((await viewDeployment(placeOf(installation))).unversionedPollers).toBeGreaterThan(0);
  });
  expect(await settle('first', 'operator')).toBe(false);
  await makeCurrent(placeOf(installation), 'first', patience);
  await makeCurrent(placeOf(installation), undefined, patience);
  expect(await viewDeployment(placeOf(installation))).not.toHaveProperty('currentBuildId');
  expect(await settle('first', 'operator'), 'going back to the unversioned was a decision too').toBe(false);
});

test('a version that nobody polls for is not made current, and the one before stays', async () => {
  await start('first');
  await settle('first', 'operator');
  await expect(makeCurrent(placeOf(installation), 'nobody', { patienceMs: 0 })).rejects.toThrow(VersionNotPolled);
  expect(await statuses()).toMatchObject({ first: 'current' });
});

test('a request that waits for approval goes on with the version made current, once its own worker has gone too', async () => {
  const stopFirst = await start('first');
  await settle('first', 'operator');
  const { requestId, identityId } = await opened(installation, onboardingOrder({ environment: 'production' }));
  await start('second');
  await makeCurrent(placeOf(installation), 'second', patience);
  await decide(installation, { requestId, by: 'security-1@tenure.example' });
  await stopFirst();
  await decide(installation, { requestId, by: 'security-2@tenure.example' });
  const handle = installation.client.workflow.getHandle(workflowIdOf('onboarding', identityId));
  await handle.result();
  const { versioningInfo } = (await handle.describe()).raw.workflowExecutionInfo ?? {};
  expect(versioningInfo?.deploymentVersion).toMatchObject({ buildId: 'second' });
  const { state } = await installation.ledger.prisma.request.findUniqueOrThrow({ where: { id: requestId } });
  expect(state).toBe('completed');
});

test('a lifecycle run whose version has no worker left ends by itself, and the schedule goes on with the current one', async () => {
  const { client } = installation;
  const begun = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const stopFirst = await start('first', {
    runDueWork: async () => {
      begun.resolve();
      await released.promise;
      return { handled: 1 };
    },
  });
  await settle('first', 'operator');
  await ensureLifecycleSchedule(client);
  const schedule = client.schedule.getHandle(lifecycleScheduleId);
  const { action } = await schedule.describe();
  expect(action).toMatchObject({ workflowRunTimeout: 5 * 60_000 });
  // As the schedule has it, but for a timeout that a test can wait for.
  await schedule.update(({ action: scheduled, ...rest }) => ({
    ...rest,
    action: { ...scheduled, workflowRunTimeout: '5 seconds' },
  }));
  await schedule.trigger();
  await begun.promise;
  // Its activity is answered, and nobody is left to be told.
  const stopped = stopFirst();
  released.resolve();
  await stopped;
  await start('second');
  await makeCurrent(placeOf(installation), 'second', patience);
  await eventually(async () => {
    await schedule.trigger();
    const ended: string[] = [];
    for await (const { status } of client.workflow.list({ query: 'WorkflowType = "lifecycle"' }))
      ended.push(status.name);
    expect(ended).toEqual(expect.arrayContaining(['TIMED_OUT', 'COMPLETED']));
  }, 30_000);
});
