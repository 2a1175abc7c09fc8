import { proxyActivities, proxyLocalActivities } from '@temporalio/workflow';
import type { IssuanceActivities, LedgerActivities, LifecycleActivities } from '../contracts/activities.ts';
import { endsTheEffort } from '../contracts/endsTheEffort.ts';

/** Every timeout of the workflows: one attempt, and the whole effort. */

/** An open that has not answered in 5 s is "outcome unknown" to its caller; it may still commit, then the nudge drives it. */
export const { open } = proxyLocalActivities<Pick<LedgerActivities, 'open'>>({
  startToCloseTimeout: '4 seconds',
  scheduleToCloseTimeout: '5 seconds',
  retry: { initialInterval: '100 milliseconds', maximumInterval: '1 second' },
});

/** A person waits for the verdict: the API asks again with the same decision id. */
export const { advance: judge } = proxyLocalActivities<Pick<LedgerActivities, 'advance'>>({
  startToCloseTimeout: '4 seconds',
  scheduleToCloseTimeout: '5 seconds',
  retry: { initialInterval: '100 milliseconds', maximumInterval: '1 second' },
});

/** Nobody else will record this: repeated for as long as the ledger is away. */
export const { advance } = proxyLocalActivities<Pick<LedgerActivities, 'advance'>>({
  startToCloseTimeout: '5 seconds',
  scheduleToCloseTimeout: '365 days',
  retry: { initialInterval: '200 milliseconds', maximumInterval: '10 seconds' },
});

/** `create` has half the lease, so that a late one dies with it. */
export function issuanceWithin(timeoutMs: number): IssuanceActivities {
  return proxyActivities<IssuanceActivities>({
    startToCloseTimeout: Math.min(timeoutMs, attemptMs),
    scheduleToCloseTimeout: timeoutMs,
    heartbeatTimeout: lostWorkerMs,
    retry: {
      initialInterval: '500 milliseconds',
      maximumInterval: '5 seconds',
      nonRetryableErrorTypes: [...endsTheEffort],
    },
  });
}

const attemptMs = 20_000;
/** A worker that was not heard of for so long is taken for dead, and its effect given to another one. */
const lostWorkerMs = 5_000;
/** What an effect other than `create` may take before its failure becomes visible; `advance` then plans the next attempt. */
export const effortMs = 30_000;

export const { runDueWork } = proxyActivities<LifecycleActivities>({
  startToCloseTimeout: '50 seconds',
  retry: { maximumAttempts: 1 },
});
