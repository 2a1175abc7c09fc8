import { readdirSync } from 'node:fs';
import type { Transaction } from '../client.ts';

const migrations = readdirSync(new URL('../../prisma/migrations', import.meta.url), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name);

/** Whether the database answers, and whether it has every migration this release knows (it may have newer ones). */
export async function ledgerReadiness(
  ledger: Pick<Transaction, '$queryRaw'>,
): Promise<{ database: boolean; migrations: boolean }> {
  try {
    const applied = await ledger.$queryRaw<{ name: string }[]>`
      SELECT migration_name AS name FROM _prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL`;
    const names = new Set(applied.map(({ name }) => name));
    return { database: true, migrations: migrations.every((name) => names.has(name)) };
  } catch (error) {
    return { database: !isLedgerUnavailable(error), migrations: false };
  }
}

/** Prisma's codes for "not reached or not in time"; any other error is about what was asked, not about reaching it. */
const unavailableCodes = new Set([
  'P1001',
  'P1002',
  'P1008',
  'P1011',
  'P1017',
  'P2024',
  'P2028',
  'P2034',
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EPIPE',
  'ERR_STREAM_DESTROYED',
]);
/** What node-postgres 8 says without any code when a connection is lost, or does not come, or an answer does not. */
const unavailableMessages = new Set([
  'Connection terminated',
  'Connection terminated unexpectedly',
  'Connection terminated due to connection timeout',
  'Client has encountered a connection error and is not queryable',
  'Client was closed and is not queryable',
  'timeout expired',
  'timeout exceeded when trying to connect',
  'Query read timeout',
]);
/**
 * SQLSTATE: connection exceptions (08), shutting down or starting (57P), no connection left (53300), a lock or statement timed
 * out (55P03, 57014), two waited for each other and this one was let go (40P01).
 */
const unavailableStates = /^(08|57P|53300|55P03|57014|25P0|40P01)/;

/** Whether the ledger could not be reached or did not answer in time: the outcome of a write is then unknown. */
export function isLedgerUnavailable(error: unknown): boolean {
  for (let cause: unknown = error, depth = 0; typeof cause === 'object' && cause !== null && depth < 6; depth += 1) {
    const code = 'code' in cause ? cause.code : undefined;
    if (typeof code === 'string' && (unavailableCodes.has(code) || unavailableStates.test(code))) return true;
    if ('message' in cause && typeof cause.message === 'string' && unavailableMessages.has(cause.message)) return true;
    const originalCode = 'originalCode' in cause ? cause.originalCode : undefined;
    if (typeof originalCode === 'string' && unavailableStates.test(originalCode)) return true;
    const kind = 'kind' in cause ? cause.kind : undefined;
    if (
      kind === 'DatabaseNotReachable' ||
      kind === 'ConnectionClosed' ||
      kind === 'SocketTimeout' ||
      kind === 'TlsConnectionError'
    )
      return true;
    cause = 'cause' in cause ? cause.cause : 'meta' in cause ? cause.meta : undefined;
    if (typeof cause === 'object' && cause !== null && 'driverAdapterError' in cause) cause = cause.driverAdapterError;
  }
  return false;
}

/**
 * Whether evidence is kept whole: `stopped` when new evidence has not been sealed for a minute or sealing says that it cannot,
 * `damaged` when what was sealed was found changed. By what the workers say, by that they still say it, and by what waits.
 */
export type EvidenceState = 'sealed' | 'stopped' | 'damaged';

/** A round that fails once is tried again; one that has failed for so long, or for a reason that wants a person, is said. */
export async function evidenceState(ledger: Pick<Transaction, '$queryRaw'>): Promise<EvidenceState> {
  const [row] = await ledger.$queryRaw<{ damaged: boolean; stopped: boolean }[]>`
    SELECT
      EXISTS (SELECT 1 FROM "evidence_watch" WHERE "part" = 'verification' AND "error" IS NOT NULL) AS "damaged",
      EXISTS (
        SELECT 1 FROM "evidence_watch" WHERE "part" = 'sealing' AND (
          "failingSince" < clock_timestamp() - interval '20 seconds'
          OR ("error" IS NULL AND "okAt" NOT BETWEEN clock_timestamp() - interval '45 seconds' AND clock_timestamp() + interval '45 seconds'))
      ) OR coalesce((
        SELECT "at" < clock_timestamp() - interval '45 seconds' FROM "evidence_entry" WHERE "leafIndex" IS NULL
        ORDER BY "id" LIMIT 1), false) AS "stopped"`;
  if (row?.damaged === true) return 'damaged';
  return row?.stopped === true ? 'stopped' : 'sealed';
}
