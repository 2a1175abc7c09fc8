import pg from 'pg';
import { runMigrations } from './schemaEngine.ts';

/** PostgreSQL 17 brought `transaction_timeout`, which frees the freeze lock of a stopped holder. */
const leastServerVersion = 170000;

/** Any constant: two processes starting at once migrate one after the other. */
const migrationLock = 7_305_808_869_231_001n;

/**
 * Brings the ledger's schema up to date. Idempotent; safe when several processes start at once.
 * @returns the names of the migrations applied now
 * @throws PostgresTooOld when the server is older than 17
 */
export async function applyMigrations({ databaseUrl }: { databaseUrl: string }): Promise<readonly string[]> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: 'tenure-migrate' });
  await client.connect();
  try {
    const { rows } = await client.query<{ version: number }>(
      `SELECT current_setting('server_version_num')::int AS version`,
    );
    const version = rows[0]?.version ?? 0;
    if (version < leastServerVersion) throw new PostgresTooOld(version);
    await client.query('SELECT pg_advisory_lock($1)', [migrationLock.toString()]);
    return await runMigrations(databaseUrl);
  } finally {
    await client.end();
  }
}

export class PostgresTooOld extends Error {
  override readonly name = 'PostgresTooOld';
  constructor(version: number) {
    super(
      `The ledger's PostgreSQL reports version ${version}; Tenure needs 17 or newer (transaction_timeout). Upgrade the server, then start again.`,
    );
  }
}
