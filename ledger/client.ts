import { createHash } from 'node:crypto';
import { PrismaPg } from '@prisma/adapter-pg';
import { Prisma, PrismaClient } from '../prisma/generated/client.ts';
import type { EvidenceKeys } from './evidence.ts';

/** What every transaction of the ledger needs: the client, the keys outside PostgreSQL, and the installation's settings. */
export interface Ledger {
  readonly prisma: PrismaClient;
  readonly evidence: EvidenceKeys;
  /** Public keys (SPKI, PEM) that decisions may be signed with, by key id. */
  readonly decisionKeys: Readonly<Record<string, string>>;
  /** How long an uncommitted mint may live. */
  readonly leaseMs: number;
}

export type Transaction = Prisma.TransactionClient;

/**
 * Opens the ledger's pool. Connections say who they are in pg_stat_activity.
 * @param poolSize connections at most; one transaction holds one
 */
export function openPrisma({ databaseUrl, poolSize = 10 }: { databaseUrl: string; poolSize?: number }): PrismaClient {
  const adapter = new PrismaPg(
    {
      connectionString: databaseUrl,
      max: poolSize,
      application_name: 'tenure',
      connectionTimeoutMillis: 5_000,
      query_timeout: 15_000,
    },
    { statementNameGenerator: statementNames() },
  );
  return new PrismaClient({ adapter });
}

/** Texts whose length varies (lists) would otherwise fill PostgreSQL's memory: each connection keeps what it prepared. */
const mostPreparedStatements = 500;

/**
 * Names for statements, so that PostgreSQL plans each once per connection: planning was a third of a step's time. The empty
 * name is the protocol's for "plan it anew". A `*` always gets that: a migration that adds a column changes what it answers,
 * which PostgreSQL refuses of a prepared one ("cached plan must not change result type"), and the previous release runs on
 * the newer schema.
 */
function statementNames(): (query: { readonly sql: string }) => string {
  const names = new Map<string, string>();
  return ({ sql }) => {
    const known = names.get(sql);
    if (known !== undefined) return known;
    if (sql.includes('*') || names.size >= mostPreparedStatements) return '';
    const name = statementName(sql);
    names.set(sql, name);
    return name;
  };
}

/** Names a statement by its text: PostgreSQL knows it again on each connection, and two texts never share a name. */
export function statementName(sql: string): string {
  return `tenure_${createHash('sha256').update(sql).digest('hex').slice(0, 32)}`;
}

/** The one advisory lock of freezes: shared by every begin, commit and grant, exclusive for a freeze. */
export const freezeLock = 7_305_808_869_231_002n;

/** A stopped holder of the shared freeze lock is ended by PostgreSQL after this, so that a freeze never waits long. */
const transactionTimeout = '2s';

/**
 * Runs `work` in one READ COMMITTED transaction that may begin, commit or grant. The shared freeze lock is its own first
 * statement: a freeze read in a later statement then sees every freeze committed before (DESIGN section 5, Locks).
 * @throws what `work` throws, with everything rolled back
 */
export async function issuingTransaction<T>(ledger: Ledger, work: (tx: Transaction) => Promise<T>): Promise<T> {
  return ledger.prisma.$transaction(
    async (tx) => {
      await tx.$queryRaw`SELECT set_config('transaction_timeout', ${transactionTimeout}, true), pg_advisory_xact_lock_shared(${freezeLock})::text`;
      return work(tx);
    },
    { isolationLevel: Prisma.TransactionIsolationLevel.ReadCommitted, maxWait: 2_000, timeout: 5_000 },
  );
}
