import type { Ledger } from './client.ts';
import { insertRow } from './rows.ts';
import type { Statements } from './statements.ts';

/** What must reach Temporal or a person after the transaction that wrote it, at least once. */
export type OutboxPayload =
  | { readonly kind: 'nudge'; readonly requestId: string }
  /** Every request of the freeze's subjects is nudged, in batches, when it begins and when it is lifted. */
  | { readonly kind: 'nudge-frozen'; readonly freezeId: string; readonly afterRequestId?: string }
  /** The rotation that this completed review asked for. */
  | { readonly kind: 'reissue'; readonly requestId: string }
  | {
      readonly kind: 'notify-freeze';
      readonly freezeId: string;
      readonly to: readonly string[];
      readonly about: string;
    }
  | { readonly kind: 'notify'; readonly requestId: string; readonly to: readonly string[]; readonly about: string };

/** Effect: one message, delivered only if the transaction commits. */
export function enqueue(tx: Statements, payload: OutboxPayload): Promise<void> {
  return insertRow(tx, 'outbox_message', { kind: payload.kind, payload: { ...payload } });
}

export interface ClaimedMessage {
  readonly id: bigint;
  readonly payload: OutboxPayload;
}

const firstBackoffSeconds = 1;
const longestBackoffSeconds = 60;

/**
 * Claims up to `limit` undelivered messages of these kinds for this process and pushes their next attempt, so that a
 * process that dies with them delays and never loses them.
 */
export async function claimMessages(
  { direct }: Pick<Ledger, 'direct'>,
  kinds: readonly string[],
  limit: number,
): Promise<readonly ClaimedMessage[]> {
  return direct.$queryRaw<ClaimedMessage[]>`
    UPDATE "outbox_message" SET
      "attempts" = "attempts" + 1,
      "nextAttemptAt" = clock_timestamp()
        + make_interval(secs => least(${firstBackoffSeconds} * power(2, "attempts"), ${longestBackoffSeconds}))
    WHERE "id" IN (
      SELECT "id" FROM "outbox_message"
      WHERE "deliveredAt" IS NULL AND "nextAttemptAt" <= statement_timestamp() AND "kind" = ANY(${kinds}::text[])
      ORDER BY "nextAttemptAt", "id" LIMIT ${limit} FOR UPDATE SKIP LOCKED)
    RETURNING "id", "payload"`;
}

/** The message arrived. Idempotent. */
export async function markDelivered({ direct }: Pick<Ledger, 'direct'>, id: bigint): Promise<void> {
  await direct.$executeRaw`
    UPDATE "outbox_message" SET "deliveredAt" = ${new Date()} WHERE "id" = ${id} AND "deliveredAt" IS NULL`;
}

/** The message did not arrive and is tried again; `error` is kept for operators. */
export async function markFailed({ direct }: Pick<Ledger, 'direct'>, id: bigint, error: string): Promise<void> {
  await direct.$executeRaw`UPDATE "outbox_message" SET "lastError" = ${error.slice(0, 500)} WHERE "id" = ${id}`;
}
