import type { Transaction } from '../client.ts';

type Rows = Pick<Transaction, '$queryRaw'>;

/** A number of rows and how long the oldest has waited; both 0 when there is none. */
export interface Backlog {
  readonly count: number;
  readonly oldestSeconds: number;
}

/** Counting stops here: a backlog of this size is an alarm whatever its size, and a scrape must stay cheap. */
export const countedAtMost = 10_000;

/** The states of an open request, as a scrape reports them: each always, also when nothing is in it. */
export const openRequestStates = [
  'evaluating',
  'awaiting-approval',
  'awaiting-proof',
  'held',
  'executing',
  'awaiting-consumers',
  'stuck',
] as const;

export interface OpenRequests extends Backlog {
  readonly state: (typeof openRequestStates)[number];
}

/** Open requests by state; `oldestSeconds` is since the request was opened. Reads the index `request_open` alone. */
export async function openRequests(ledger: Rows): Promise<readonly OpenRequests[]> {
  return ledger.$queryRaw<OpenRequests[]>`
    SELECT "state", counted."count", coalesce(extract(epoch FROM clock_timestamp() - oldest."at"), 0)::float8 AS "oldestSeconds"
    FROM unnest(${[...openRequestStates]}::text[]) AS states("state")
    CROSS JOIN LATERAL (
      SELECT count(*)::int AS "count" FROM (
        SELECT 1 FROM "request" r WHERE r."finishedAt" IS NULL AND r."state" = states."state" LIMIT ${countedAtMost}) AS present
    ) AS counted
    LEFT JOIN LATERAL (
      SELECT r."createdAt" AS "at" FROM "request" r WHERE r."finishedAt" IS NULL AND r."state" = states."state"
      ORDER BY r."createdAt" LIMIT 1
    ) AS oldest ON true`;
}

/** Final requests whose credentials are not yet destroyed; `oldestSeconds` is since the request became final. */
export async function owedDestroys(ledger: Rows): Promise<Backlog> {
  return only(
    await ledger.$queryRaw<Backlog[]>`
      SELECT count(*)::int AS "count",
        coalesce(extract(epoch FROM clock_timestamp() - min("finishedAt")), 0)::float8 AS "oldestSeconds"
      FROM (SELECT "finishedAt" FROM "request" WHERE "owesDestroys" ORDER BY "finishedAt" LIMIT ${countedAtMost}) AS owing`,
  );
}

/** Evidence that has no leaf index yet; `oldestSeconds` is the sealer's lag. */
export async function unsealedEvidence(ledger: Rows): Promise<Backlog> {
  return only(
    await ledger.$queryRaw<Backlog[]>`
      SELECT count(*)::int AS "count", coalesce(extract(epoch FROM clock_timestamp() - min("at")), 0)::float8 AS "oldestSeconds"
      FROM (SELECT "at" FROM "evidence_entry" WHERE "leafIndex" IS NULL ORDER BY "id" LIMIT ${countedAtMost}) AS unsealed`,
  );
}

/** Scheduled work (rotations, expiries, reviews, sweeps …) that is due now; claiming pushes a row's date, so what fails again and again is not "due". */
export async function dueWork(ledger: Rows): Promise<Backlog> {
  return only(
    await ledger.$queryRaw<Backlog[]>`
      SELECT count(*)::int AS "count",
        coalesce(extract(epoch FROM clock_timestamp() - min("dueAt")), 0)::float8 AS "oldestSeconds"
      FROM (SELECT "dueAt" FROM "due_work" WHERE "dueAt" <= clock_timestamp() ORDER BY "dueAt" LIMIT ${countedAtMost}) AS due`,
  );
}

/** Messages to Temporal and to people that have not arrived; `oldestSeconds` is since they were written. */
export async function undeliveredMessages(ledger: Rows): Promise<Backlog> {
  return only(
    await ledger.$queryRaw<Backlog[]>`
      SELECT count(*)::int AS "count",
        coalesce(extract(epoch FROM clock_timestamp() - min("createdAt")), 0)::float8 AS "oldestSeconds"
      FROM (
        SELECT "createdAt" FROM "outbox_message" WHERE "deliveredAt" IS NULL
        ORDER BY "nextAttemptAt" LIMIT ${countedAtMost}) AS undelivered`,
  );
}

/** Freezes that hold now; `oldestSeconds` is since the first of them was opened. */
export async function freezesInForce(ledger: Rows): Promise<Backlog> {
  return only(
    await ledger.$queryRaw<Backlog[]>`
      SELECT count(*)::int AS "count",
        coalesce(extract(epoch FROM clock_timestamp() - min("createdAt")), 0)::float8 AS "oldestSeconds"
      FROM (SELECT "createdAt" FROM "freeze" WHERE "liftedAt" IS NULL ORDER BY "createdAt" LIMIT ${countedAtMost}) AS held`,
  );
}

/** Seconds since the lifecycle last finished; since the installation was made when it never has, so that this alarms too. */
export async function lifecycleAgeSeconds(ledger: Rows): Promise<number> {
  const { seconds } = only(
    await ledger.$queryRaw<{ seconds: number }[]>`
      SELECT extract(epoch FROM clock_timestamp()
        - coalesce((SELECT "lastSuccessAt" FROM "lifecycle_run" WHERE "id" = 1),
                   (SELECT min("createdAt") FROM "installation"), clock_timestamp()))::float8 AS "seconds"`,
  );
  return seconds;
}

/** An aggregate without GROUP BY has one row. */
function only<T>([row]: readonly T[]): T {
  if (row === undefined) throw new TypeError('PostgreSQL answered an aggregate with no row.');
  return row;
}
