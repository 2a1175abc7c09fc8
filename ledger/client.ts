import type { KeyObject } from 'node:crypto';
import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { type Prisma, PrismaClient } from '../prisma/generated/client.ts';
import { type DirectPool, keptConnections } from './direct.ts';
import type { EvidenceKeys } from './evidence.ts';
import { type Statements, statementNameOf } from './statements.ts';

/** What every transaction of the ledger needs: the client, the keys outside PostgreSQL, and the installation's settings. */
export interface Ledger {
  readonly prisma: PrismaClient;
  /** For what every step waits for. */
  readonly direct: DirectPool;
  readonly evidence: EvidenceKeys;
  /** Public keys that decisions may be signed with, by key id. */
  readonly decisionKeys: ReadonlyMap<string, KeyObject>;
  /** How long an uncommitted mint may live. */
  readonly leaseMs: number;
}

export type Transaction = Prisma.TransactionClient;

/**
 * Opens the ledger's pool. Connections say who they are in pg_stat_activity.
 * @param poolSize connections at most; one transaction holds one
 * @param isKept whether a connection that nobody uses stays open
 */
export function openPrisma({
  databaseUrl,
  poolSize = 10,
  isKept = false,
}: {
  databaseUrl: string;
  poolSize?: number;
  isKept?: boolean;
}): PrismaClient {
  const pool = new pg.Pool({
    ...(isKept ? keptConnections : {}),
    connectionString: databaseUrl,
    max: poolSize,
    application_name: 'tenure',
    connectionTimeoutMillis: 5_000,
    query_timeout: 15_000,
  });
  // PrismaPg names the statements of transactions alone.
  const query = pool.query.bind(pool) as (config: pg.QueryConfig) => Promise<pg.QueryResult>;
  pool.query = ((config: pg.QueryConfig) =>
    query({ ...config, name: statementNameOf(config.text) })) as typeof pool.query;
  const adapter = new PrismaPg(pool, {
    disposeExternalPool: true,
    statementNameGenerator: ({ sql }) => statementNameOf(sql),
  });
  return new PrismaClient({ adapter });
}

/** The one advisory lock of freezes: shared by every begin, commit and grant, exclusive for a freeze. */
export const freezeLock = 7_305_808_869_231_002n;

/** A stopped holder of the shared freeze lock is ended by PostgreSQL after this, so that a freeze never waits long. */
const transactionTimeout = '2s';

/** One message: PostgreSQL carries out the next statement only when the one before it succeeded. */
const issuing = `BEGIN ISOLATION LEVEL READ COMMITTED;
  SET LOCAL transaction_timeout = '${transactionTimeout}';
  SELECT pg_advisory_xact_lock_shared(${freezeLock})::text`;

/**
 * Runs `work` in one READ COMMITTED transaction that may begin, commit or grant. The shared freeze lock is its own first
 * statement: a freeze read in a later statement then sees every freeze committed before (DESIGN section 5, Locks).
 * @throws what `work` throws, with everything rolled back
 */
export async function issuingTransaction<T>(
  ledger: Pick<Ledger, 'direct'>,
  work: (tx: Statements) => Promise<T>,
): Promise<T> {
  return ledger.direct.transaction(issuing, work);
}
