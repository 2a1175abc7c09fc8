import { ScheduleOverlapPolicy } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { lifecycleScheduleId } from '../../contracts/names.ts';
import { makeCurrent } from '../../worker/deploymentRouting.ts';
import { ensureLifecycleSchedule } from '../../worker/lifecycleSchedule.ts';
import { eventually } from '../setup/eventually.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { encodingOf, type History, payloadsIn } from '../setup/plainHistory.ts';
import { placeOf, startBuild } from '../worker/versionedWorkers.ts';

const canary = 'canary-of-a-failed-lifecycle';
let installation: TestInstallation;
let stopWorker: () => Promise<void>;
let isLedgerAway = false;

beforeAll(async () => {
  installation = await testInstallation();
  stopWorker = await startBuild(installation, 'failing', {
    async runDueWork() {
      if (isLedgerAway) throw new ApplicationFailure(canary);
      return { handled: 0 };
    },
  });
  await makeCurrent(placeOf(installation), 'failing', { patienceMs: 60_000 });
});
afterAll(async () => {
  await stopWorker?.();
  await installation?.close();
});

/** The next run of the schedule, to its end. */
async function nextRun(): Promise<History> {
  const { client } = installation;
  const schedule = client.schedule.getHandle(lifecycleScheduleId);
  const { numActionsTaken: before, recentActions } = (await schedule.describe()).info;
  // A run's id has the second it started in: within the same second it would be the same workflow.
  const lastSecond = recentActions.at(-1)?.takenAt;
  await eventually(async () => expect(secondOf(new Date())).not.toBe(secondOf(lastSecond)));
  // By default a trigger overlaps whatever runs, and Temporal carries nothing from or to such a run.
  await schedule.trigger(ScheduleOverlapPolicy.SKIP);
  return eventually(async () => {
    const { info } = await schedule.describe();
    expect(info.numActionsTaken).toBe(before + 1);
    const action = info.recentActions.at(-1)?.action;
    if (action === undefined) throw new Error('the schedule has not started anything');
    const handle = client.workflow.getHandle(action.workflow.workflowId);
    expect((await handle.describe()).status.name).not.toBe('RUNNING');
    expect(info.runningActions).toEqual([]);
    return handle.fetchHistory();
  });
}

const secondOf = (at: Date | undefined) => at?.toISOString().slice(0, 'YYYY-MM-DDTHH:MM:SS'.length);
const startOf = ({ events }: History) => events?.[0]?.workflowExecutionStartedEventAttributes;
const endOf = ({ events }: History) => events?.at(-1);

test('the schedule goes on after a failed run, whose failure and last result Temporal hands from run to run', async () => {
  await ensureLifecycleSchedule(installation.client);
  // Only what the test triggers runs; the minute's own run would come in between.
  await installation.client.schedule.getHandle(lifecycleScheduleId).pause();

  expect(endOf(await nextRun())?.workflowExecutionCompletedEventAttributes).toBeTruthy();
  isLedgerAway = true;
  const failed = await nextRun();
  expect(endOf(failed)?.workflowExecutionFailedEventAttributes).toBeTruthy();
  expect(JSON.stringify(failed)).not.toContain(canary);
  isLedgerAway = false;

  const next = await nextRun();
  const { continuedFailure, lastCompletionResult } = startOf(next) ?? {};
  expect(payloadsIn(continuedFailure).map(({ payload }) => encodingOf(payload))).toContain('binary/encrypted');
  expect(payloadsIn(lastCompletionResult)).toHaveLength(1);
  expect(endOf(next)?.workflowExecutionCompletedEventAttributes).toBeTruthy();
  expect(startOf(next)?.workflowId).not.toBe(startOf(failed)?.workflowId);
});
