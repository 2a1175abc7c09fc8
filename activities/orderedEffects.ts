import { ApplicationFailure } from '@temporalio/activity';
import type { Effects, IssuanceActivities } from '../contracts/activities.ts';
import { endsTheEffort } from '../contracts/endsTheEffort.ts';
import type { EffectOutcome, Ordered } from '../contracts/plan.ts';
import type { Ledger } from '../ledger/client.ts';
import { type BegunOrder, beginOrder, recordOutcome, recordTry } from '../ledger/effectOrders.ts';

/**
 * The effects as Temporal runs them. From Temporal comes the nonce of an order and nothing else; what is to be done stands in
 * the ledger, and how it ended is recorded there by the activity itself. Its answer to Temporal is empty: nobody reads it.
 */
export function orderedEffects({
  ledger,
  effects,
}: {
  readonly ledger: Pick<Ledger, 'direct'>;
  readonly effects: Effects;
}): IssuanceActivities {
  /**
   * Effect: the ordered effect, and its outcome in the ledger. Idempotency: the nonce; an answered order does nothing more.
   * Errors: those of the effect; NoLongerWanted for an order that is not open, or whose outcome counts no more.
   */
  function ordered<A extends keyof Effects>(activity: A): (input: Ordered) => Promise<Record<string, never>> {
    return async ({ nonce }) => {
      const order = await beginOrder(ledger, activity, nonce);
      if (order === undefined)
        throw noLongerWanted(activity, 'its order is not open: it was replaced, or never issued');
      if (order.isAnswered) return {};
      const { outcome, error } = await attempt(order, effects[activity] as (input: unknown) => Promise<Succeeded>);
      const isRecorded = await recordOutcome(ledger, order, outcome);
      if (error !== undefined) throw error;
      if (!isRecorded)
        throw noLongerWanted(activity, 'when it was done, the ledger wanted something else; it was not recorded');
      return {};
    };
  }

  /** @throws what may be repeated, once the order says why it was not done this time */
  async function attempt(order: BegunOrder, effect: (input: unknown) => Promise<Succeeded>): Promise<Attempt> {
    try {
      return { outcome: { ok: true, result: await effect(order.input) } };
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const failure = { reason: reasonOf(error), message: error.message };
      if (endsTheEffort.includes(failure.reason)) return { outcome: { ok: false, ...failure }, error };
      await recordTry(ledger, order, failure).catch((unrecorded: unknown) => {
        throw new AggregateError(
          [error, unrecorded],
          `${error.message} (The ledger could not note it: ${unrecorded}.)`,
        );
      });
      throw error;
    }
  }

  return {
    create: ordered('create'),
    promote: ordered('promote'),
    quarantine: ordered('quarantine'),
    destroy: ordered('destroy'),
  };
}

type Succeeded = Extract<EffectOutcome, { ok: true }>['result'];

interface Attempt {
  readonly outcome: EffectOutcome;
  /** What the effect threw; Temporal is told as well, for the people who read it there. */
  readonly error?: Error;
}

function reasonOf(error: Error): string {
  return error instanceof ApplicationFailure ? (error.type ?? error.name) : error.name;
}

function noLongerWanted(activity: string, because: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(`This ${activity} is no longer wanted: ${because}.`, 'NoLongerWanted');
}
