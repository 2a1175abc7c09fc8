import type { Context } from '@temporalio/activity';
import type { ActivityInterceptors } from '@temporalio/worker';

/**
 * Every activity that has a heartbeat timeout beats by itself, three times within it, for as long as this process lives:
 * the server gives the work of a dead worker to another one at once, and not only when its attempt has timed out.
 */
export function heartbeats(context: Context): ActivityInterceptors {
  const { heartbeatTimeoutMs } = context.info;
  if (heartbeatTimeoutMs === undefined || heartbeatTimeoutMs === 0) return {};
  return {
    inbound: {
      async execute(input, next) {
        const beating = setInterval(() => context.heartbeat(), heartbeatTimeoutMs / 3);
        try {
          return await next(input);
        } finally {
          clearInterval(beating);
        }
      },
    },
  };
}
