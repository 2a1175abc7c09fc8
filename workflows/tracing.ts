import type { WorkflowInterceptorsFactory } from '@temporalio/workflow';
import { interceptorsOfSdk, type SdkInterceptors } from './openTelemetry.cjs';

/** Where a traced client puts its trace context (`TRACE_HEADER` of the SDK's interceptors: keep in step). */
const traceHeader = '_tracer-data';

/**
 * Traces a run whose start carries a trace context, and leaves every other run exactly as it is. What decides is in the
 * history and nowhere else: the SDK's interceptors add awaits, so a run must replay with them if it began with them and
 * without if not, whether the worker that replays it exports traces or not.
 */
export const interceptors: WorkflowInterceptorsFactory = () => {
  let traced: SdkInterceptors | undefined;
  return {
    inbound: [
      {
        execute(input, next) {
          if (Object.hasOwn(input.headers, traceHeader)) traced = interceptorsOfSdk();
          return traced === undefined ? next(input) : traced.inbound.execute(input, next);
        },
        handleSignal: (input, next) => (traced === undefined ? next(input) : traced.inbound.handleSignal(input, next)),
        handleUpdate: (input, next) => (traced === undefined ? next(input) : traced.inbound.handleUpdate(input, next)),
      },
    ],
    outbound: [
      {
        scheduleActivity: (input, next) =>
          traced === undefined ? next(input) : traced.outbound.scheduleActivity(input, next),
        scheduleLocalActivity: (input, next) =>
          traced === undefined ? next(input) : traced.outbound.scheduleLocalActivity(input, next),
        continueAsNew: (input, next) =>
          traced === undefined ? next(input) : traced.outbound.continueAsNew(input, next),
      },
    ],
    internals: [
      { dispose: (input, next) => (traced === undefined ? next(input) : traced.internals.dispose(input, next)) },
    ],
  };
};
