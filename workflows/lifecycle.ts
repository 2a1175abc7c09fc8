import { setWorkflowOptions } from '@temporalio/workflow';
import { runDueWork } from './activityProxies.ts';

/** At most this many batches a run: the schedule starts the next one a minute later. */
const batchesAtMost = 20;

/** Started each minute by a schedule, without arguments: rotations and expiries that fell due, sweeps, lost workflows. */
export async function lifecycle(): Promise<void> {
  for (let batch = 0; batch < batchesAtMost; batch += 1) {
    const { handled } = await runDueWork();
    if (handled === 0) return;
  }
}

// It ends within minutes, in any case at its run timeout: a run stays with the code that began it.
setWorkflowOptions({ versioningBehavior: 'PINNED' }, lifecycle);
