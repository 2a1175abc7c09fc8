import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { freePort } from '../../embedded/ports.ts';
import { type PostgresServer, startPostgres } from '../../embedded/postgres.ts';
import { startTemporal } from '../../embedded/temporal.ts';
import { temporalBinary } from '../../embedded/temporalBinary.ts';
import { admitDatabaseUser } from '../../embedded/unprivilegedUser.ts';
import { applyMigrations } from '../../ledger/migrate.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** A superuser's URL to the database `postgres` of the run's PostgreSQL. */
    postgresUrl: string;
    /** host:port of the run's Temporal, which keeps its histories in memory; namespace `default`. */
    temporalAddress: string;
    /** A Temporal CLI, for tests that start a server of their own. */
    temporalBinary: string;
    /** A database with every migration applied and nothing in it: the template of `freshDatabase`. */
    migratedTemplate: string;
  }
}

const migratedTemplate = 'migrated';

/** Starts one PostgreSQL and one Temporal for the whole run, and stops both after it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const directory = mkdtempSync(join(tmpdir(), 'tenure-test-'));
  admitDatabaseUser(directory);
  const binary = await temporalBinary((text) => console.log(text));
  const postgres = await startPostgres({
    directory: join(directory, 'postgres'),
    port: await freePort(),
    isDurable: false,
  });
  const temporal = await startTemporal({ binary, port: await freePort() });

  await makeTemplate(postgres);

  project.provide('postgresUrl', postgres.url());
  project.provide('temporalAddress', temporal.address);
  project.provide('temporalBinary', binary);
  project.provide('migratedTemplate', migratedTemplate);

  return async () => {
    await temporal.stop();
    await postgres.stop();
    rmSync(directory, { recursive: true, force: true });
  };
}

async function makeTemplate(postgres: PostgresServer): Promise<void> {
  const client = new pg.Client({ connectionString: postgres.url() });
  await client.connect();
  await client.query(`CREATE DATABASE ${migratedTemplate}`);
  await applyMigrations({ databaseUrl: postgres.url(migratedTemplate) });
  // PostgreSQL copies only a template that nobody is connected to.
  await client.query(`ALTER DATABASE ${migratedTemplate} WITH ALLOW_CONNECTIONS false`);
  await client.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${migratedTemplate}'`);
  await client.end();
}
