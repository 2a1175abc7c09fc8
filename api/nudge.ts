import type { Logger } from 'pino';
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
