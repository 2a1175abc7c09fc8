import pg from 'pg';

/**
 * A backup of a whole database, and its return under the same name: what `pg_dump` and a restore come to, with every
 * connection ended as a restore ends them. Roles are the server's, so the issuer keeps what was done since.
 */
export async function backUp(databaseUrl: string): Promise<{ putBack(): Promise<void> }> {
  const name = new URL(databaseUrl).pathname.slice(1);
  const copy = `${name}_backup`;
  const server = new URL(databaseUrl);
  server.pathname = '/postgres';

  async function run(...statements: readonly string[]): Promise<void> {
    const client = new pg.Client({ connectionString: server.href });
    await client.connect();
    try {
      for (const statement of statements) await client.query(statement);
    } finally {
      await client.end();
    }
  }

  await run(
    `ALTER DATABASE ${name} ALLOW_CONNECTIONS false`,
    `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '${name}'`,
    `CREATE DATABASE ${copy} TEMPLATE ${name}`,
    `ALTER DATABASE ${name} ALLOW_CONNECTIONS true`,
  );
  return {
    putBack: () => run(`DROP DATABASE ${name} WITH (FORCE)`, `ALTER DATABASE ${copy} RENAME TO ${name}`),
  };
}
