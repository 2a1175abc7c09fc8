import { ApplicationFailure } from '@temporalio/activity';
import type { LedgerActivities } from '../contracts/activities.ts';
import { advanceRequest, RequestMissing } from '../ledger/advance.ts';
import type { Ledger } from '../ledger/client.ts';
import { openRequest } from '../ledger/open.ts';
import { LedgerRestored } from '../ledger/restore.ts';

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
        if (error instanceof LedgerRestored) throw heldBack(error);
        if (error instanceof RequestMissing) throw ApplicationFailure.nonRetryable(error.message, error.name);
        throw error;
      }
    },
  };
}

/** Tried again for as long as it takes, but seldom: each attempt is an event or two of the workflow's history. */
function heldBack(error: LedgerRestored): ApplicationFailure {
  return ApplicationFailure.create({ message: error.message, type: error.name, nextRetryDelay: '2 minutes' });
}
