import { setWorkflowOptions } from '@temporalio/workflow';
import { drive } from './driver.ts';

/** `onboarding/<identity>`: a new identity from request to first credential in its store. What happens, and in which order, is in its flow and in domain/flow. */
export async function onboarding(...requestIds: string[]): Promise<void> {
  await drive(...requestIds);
}

// It may wait for days, for approvals or consumers: it goes on with the newest code, which reads every older history.
setWorkflowOptions({ versioningBehavior: 'AUTO_UPGRADE' }, onboarding);
