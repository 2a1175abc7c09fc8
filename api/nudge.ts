import type { Logger } from 'pino';
import { enqueue } from '../ledger/outbox.ts';
import type { RequestSituation } from '../ledger/queries/requests.ts';
import { workflowOf } from './findVisible.ts';
import type { ApiDependencies } from './ports.ts';

/**
 * Tells the workflow, without waiting, that a committed command changed its plan. A failure costs only time (the outbox
 * tells it again), so it is logged and not answered.
 */
export function nudgeSoon(
  { gateway, logger }: Pick<ApiDependencies, 'gateway'> & { logger: Logger },
  request: RequestSituation,
): void {
  gateway.nudge(workflowOf(request), request.id).catch((error: unknown) => {
    logger.warn({ err: error, request: request.id }, 'nudge failed; the outbox repeats it');
  });
}

/**
 * Effect: the outbox tells the workflow to look where its request stands. For an answer that came from the ledger because the
 * workflow's did not arrive: the run may not have it either, since Temporal forgets what it had not written down yet.
 */
export function nudgeByOutbox({ ledger }: Pick<ApiDependencies, 'ledger'>, requestId: string): Promise<void> {
  return enqueue(ledger.direct, { kind: 'nudge', requestId });
}
