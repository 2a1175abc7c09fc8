import { ApplicationFailure } from '@temporalio/activity';
import type { LedgerActivities } from '../contracts/activities.ts';
import { advanceRequest, RequestMissing } from '../ledger/advance.ts';
import type { Ledger } from '../ledger/client.ts';
import { openRequest } from '../ledger/open.ts';

/** One ledger transaction each; run as local activities. */
export function ledgerActivities(ledger: Ledger): LedgerActivities {
  return {
    /** Effect: the request and its first step. Idempotency: (principal, Idempotency-Key). Errors: all retryable. */
    async open(order) {
      return openRequest(ledger, order);
    },
    /** Effect: one event on one request. Idempotency: the event's id. Errors: RequestMissing is not retryable. */
    async advance(input) {
      try {
        return await advanceRequest(ledger, input);
      } catch (error) {
        if (error instanceof RequestMissing) throw ApplicationFailure.nonRetryable(error.message, error.name);
        throw error;
      }
    },
  };
}
