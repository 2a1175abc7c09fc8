import { expect, test } from 'vitest';
import { eventually } from '../setup/eventually.ts';
import { testInstallation } from '../setup/installation.ts';
import { interruptions } from '../setup/interruptions.ts';
import { storedHistories, storeHistory } from './storedHistory.ts';
import { stories, storyFlows, storyLeaseMs } from './stories.ts';

/**
 * `npm run replay:record`: plays every story that has no history yet on real servers, and stores it. What is recorded stays
 * as it is: it is what runs in production still look like.
 */
test('every new story is recorded', async () => {
  const faults = interruptions();
  const { wrapIssuer, wrapStore } = faults;
  const installation = await testInstallation({ flows: storyFlows, leaseMs: storyLeaseMs, wrapIssuer, wrapStore });
  const stopWorker = await installation.startWorker();
  const { client, namespace } = installation;
  const codecs = client.options.loadedDataConverter.payloadCodecs;
  const recorded = storedHistories();
  for (const [story, play] of Object.entries(stories)) {
    if (recorded.includes(story)) continue;
    const workflowId = await play({ installation, faults });
    const firstRun = await eventually(async () => {
      const { raw } = await client.workflow.getHandle(workflowId).describe();
      const runId = raw.workflowExecutionInfo?.firstRunId;
      if (!runId) throw new Error(`${story} has no first run`);
      return runId;
    });
    const handle = client.workflow.getHandle(workflowId, firstRun);
    const history = await eventually(async () => {
      expect((await handle.describe()).status.name).not.toBe('RUNNING');
      return handle.fetchHistory();
    }, 60_000);
    await storeHistory(story, history, { codecs, workflowId, namespace });
  }
  await stopWorker();
  await installation.close();
});
