import { expect, test } from 'vitest';
import { eventually } from '../setup/eventually.ts';
import { testInstallation } from '../setup/installation.ts';
import { interruptions } from '../setup/interruptions.ts';
import { storeHistory } from './storedHistory.ts';
import { stories, storyFlows, storyLeaseMs } from './stories.ts';

/**
 * `npm run replay:record`: plays every story on real servers and stores its history. Record a story anew only when its
 * workflow changed behind `patched`, or is new: the old histories are what runs in production still look like.
 */
test('every story is recorded', async () => {
  const faults = interruptions();
  const { wrapIssuer, wrapStore } = faults;
  const installation = await testInstallation({ flows: storyFlows, leaseMs: storyLeaseMs, wrapIssuer, wrapStore });
  const stopWorker = await installation.startWorker();
  const { client, namespace } = installation;
  const codecs = client.options.loadedDataConverter.payloadCodecs;
  for (const [story, play] of Object.entries(stories)) {
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
