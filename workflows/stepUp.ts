import { setWorkflowOptions } from '@temporalio/workflow';
import { drive } from './driver.ts';

/** `step-up/<request>`: an agent is granted access, for a short while, as far as the flow on step-ups lets it. What happens, and in which order, is in its flow and in domain/flow. */
export async function stepUp(...requestIds: string[]): Promise<void> {
  await drive(...requestIds);
}

// It may wait for people as long as its flow says: it goes on with the newest code, which reads every older history.
setWorkflowOptions({ versioningBehavior: 'AUTO_UPGRADE' }, stepUp);
