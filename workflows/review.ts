import { setWorkflowOptions } from '@temporalio/workflow';
import { drive } from './driver.ts';

/** `review/<identity>`: the owner attests, security approves the scope anew, and what was held for want of it goes on. What happens, and in which order, is in its flow and in domain/flow. */
export async function review(...requestIds: string[]): Promise<void> {
  await drive(...requestIds);
}

// It may wait for days, for approvals or consumers: it goes on with the newest code, which reads every older history.
setWorkflowOptions({ versioningBehavior: 'AUTO_UPGRADE' }, review);
