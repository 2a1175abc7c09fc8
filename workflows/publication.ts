import { setWorkflowOptions } from '@temporalio/workflow';
import { drive } from './driver.ts';

/** `publication/<request>`: the published flows are changed, all at once, when those agree whom the flow on publications asks. What happens, and in which order, is in its flow and in domain/flow. */
export async function publication(...requestIds: string[]): Promise<void> {
  await drive(...requestIds);
}

// It may wait for days, for approvals: it goes on with the newest code, which reads every older history.
setWorkflowOptions({ versioningBehavior: 'AUTO_UPGRADE' }, publication);
