import type { Transaction } from '../client.ts';

type Rows = Pick<Transaction, '$queryRaw'>;

/** Where a reader of completions stands: everything up to this row, in the order of instants and then of ids, was read. */
export interface Position {
  readonly at: Date;
  readonly id: string;
}

export interface Completion extends Position {
  /** The request's kind. */
  readonly kind: string;
  readonly seconds: number;
}

export interface FinishedRequest extends Completion {
  /** Its final state. */
  readonly outcome: string;
}

export interface Reading {
  readonly after: Position;
  readonly limit: number;
  /**
   * Rows younger than this are left for later: a transaction writes the instant of its beginning and may commit after a
   * later one. Longer than any transaction may take.
   */
  readonly settleMs: number;
}

/** Now, by the ledger's clock: where a reader begins that has read nothing and wants what comes. */
export async function presentPosition(ledger: Rows): Promise<Position> {
  const [row] = await ledger.$queryRaw<{ at: Date }[]>`SELECT clock_timestamp() AS "at"`;
  if (row === undefined) throw new TypeError('PostgreSQL answered a SELECT without FROM with no row.');
  return { at: row.at, id: '' };
}

/** The next requests that became final; `seconds` is from opening to then. Index `request_finished`. */
export async function finishedRequests(
  ledger: Rows,
  { after, limit, settleMs }: Reading,
): Promise<readonly FinishedRequest[]> {
  return ledger.$queryRaw<FinishedRequest[]>`
    SELECT "id", "finishedAt" AS "at", "kind", "state" AS "outcome",
      extract(epoch FROM "finishedAt" - "createdAt")::float8 AS "seconds"
    FROM "request"
    WHERE "finishedAt" IS NOT NULL AND ("finishedAt", "id") > (${after.at}::timestamptz, ${after.id})
      AND "finishedAt" <= clock_timestamp() - ${settleMs}::int * interval '1 millisecond'
    ORDER BY "finishedAt", "id" LIMIT ${limit}`;
}

/**
 * The next credentials that a store began to serve; `seconds` is from begin to the recorded promote. A credential that
 * serves again after a rollback is left out: the request that made it was final before. Index `credential_promoted`.
 */
export async function servedCredentials(
  ledger: Rows,
  { after, limit, settleMs }: Reading,
): Promise<readonly Completion[]> {
  return ledger.$queryRaw<Completion[]>`
    SELECT c."handle" AS "id", c."promotedAt" AS "at", r."kind",
      extract(epoch FROM c."promotedAt" - c."createdAt")::float8 AS "seconds"
    FROM "credential" c JOIN "request" r ON r."id" = c."requestId"
    WHERE c."promotedAt" IS NOT NULL AND (c."promotedAt", c."handle") > (${after.at}::timestamptz, ${after.id})
      AND c."promotedAt" <= clock_timestamp() - ${settleMs}::int * interval '1 millisecond'
      AND (r."finishedAt" IS NULL OR r."finishedAt" >= c."promotedAt")
    ORDER BY c."promotedAt", c."handle" LIMIT ${limit}`;
}
