import { setWorkflowOptions } from '@temporalio/workflow';
import { drive } from './driver.ts';

/** `rotation/<identity>`: a new credential beside the old one, cutover, then the old one destroyed; rolled back within the grace window. What happens, and in which order, is in its flow and in domain/flow. */
export async function rotation(...requestIds: string[]): Promise<void> {
  await drive(...requestIds);
}

// It may wait for days, for approvals or consumers: it goes on with the newest code, which reads every older history.
setWorkflowOptions({ versioningBehavior: 'AUTO_UPGRADE' }, rotation);
