import { type Client, ScheduleAlreadyRunning, ScheduleOverlapPolicy } from '@temporalio/client';
import { lifecycleScheduleId, lifecycleWorkflowType, taskQueue } from '../contracts/names.ts';

/**
 * The schedule that runs `lifecycle` each minute, one at a time, without arguments (a payload codec that binds the
 * workflow id could not read them). Idempotent: an existing schedule is left as operators may have paused it.
 */
export async function ensureLifecycleSchedule(client: Client): Promise<void> {
  try {
    await client.schedule.create({
      scheduleId: lifecycleScheduleId,
      spec: { intervals: [{ every: '1 minute' }] },
      policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1 minute' },
      action: {
        type: 'startWorkflow',
        workflowType: lifecycleWorkflowType,
        workflowId: lifecycleScheduleId,
        taskQueue,
        args: [],
        workflowRunTimeout: '5 minutes',
      },
    });
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
  }
}
