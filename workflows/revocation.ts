import { setWorkflowOptions } from '@temporalio/workflow';
import { drive } from './driver.ts';

/** `revocation/<identity>`: nothing of the identity is accepted or served any more, with receipts. What happens, and in which order, is in its flow and in domain/flow. */
export async function revocation(...requestIds: string[]): Promise<void> {
  await drive(...requestIds);
}

// It may wait for days, for approvals or consumers: it goes on with the newest code, which reads every older history.
setWorkflowOptions({ versioningBehavior: 'AUTO_UPGRADE' }, revocation);
