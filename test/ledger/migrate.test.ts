import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { openPrisma } from '../../ledger/client.ts';
import { applyMigrations } from '../../ledger/migrate.ts';

const migrations = readdirSync(fileURLToPath(new URL('../../prisma/migrations', import.meta.url)), {
  withFileTypes: true,
})
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)
  .sort();

let admin: pg.Client;
const made: string[] = [];
beforeAll(async () => {
  admin = new pg.Client({ connectionString: inject('postgresUrl') });
  await admin.connect();
});
afterAll(async () => {
  for (const name of made) await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
  await admin.end();
});

/** A database that nobody has migrated. */
async function emptyDatabase(): Promise<string> {
  const name = `empty_${randomBytes(8).toString('hex')}`;
  await admin.query(`CREATE DATABASE ${name}`);
  made.push(name);
  const url = new URL(inject('postgresUrl'));
  url.pathname = `/${name}`;
  return url.href;
}

async function query<Row extends pg.QueryResultRow>(databaseUrl: string, text: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}

test('an empty database gets every migration, in order, and the next start applies none', async () => {
  const databaseUrl = await emptyDatabase();
  expect(await applyMigrations({ databaseUrl })).toEqual(migrations);
  expect(await applyMigrations({ databaseUrl })).toEqual([]);
  const rows = await query(
    databaseUrl,
    `SELECT "migration_name" AS name FROM "_prisma_migrations" WHERE "finished_at" IS NOT NULL ORDER BY "started_at"`,
  );
  expect(rows.map(({ name }) => name)).toEqual(migrations);
});

test('processes that start at once apply each migration once', async () => {
  const databaseUrl = await emptyDatabase();
  const applied = await Promise.all([1, 2, 3].map(() => applyMigrations({ databaseUrl })));
  expect(applied.flat()).toEqual(migrations);
});

test('the migrations make the tables that the client was generated for', async () => {
  const databaseUrl = await emptyDatabase();
  await applyMigrations({ databaseUrl });
  const prisma = openPrisma({ databaseUrl });
  const models = Object.keys(prisma).filter((name) => /^[a-z]/.test(name) && name !== 'constructor');
  const rows = await query<{ name: string }>(
    databaseUrl,
    `SELECT "tablename" AS name FROM pg_tables WHERE "schemaname" = 'public'`,
  );
  expect(models.length).toBeGreaterThan(0);
  // One table more: Prisma's own.
  expect(models.length).toBe(rows.length - 1);
  for (const model of models) {
    const table: unknown = Reflect.get(prisma, model);
    const find: unknown = typeof table === 'object' && table !== null ? Reflect.get(table, 'findFirst') : undefined;
    if (typeof find !== 'function') throw new Error(`${model} is no table of the client`);
    expect(await find.call(table), model).toBeNull();
  }
  await prisma.$disconnect();
});

test('a migration that fails leaves nothing of itself behind, and each start says so until somebody has looked', async () => {
  const databaseUrl = await emptyDatabase();
  // In the way of a function that comes late in the first migration.
  await query(
    databaseUrl,
    `CREATE FUNCTION "identity_transition"() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`,
  );
  await expect(applyMigrations({ databaseUrl })).rejects.toThrow(/identity_transition/);
  await expect(applyMigrations({ databaseUrl })).rejects.toThrow(/20261122000000_ledger/);
  const tables = await query(databaseUrl, `SELECT "tablename" AS name FROM pg_tables WHERE "schemaname" = 'public'`);
  expect(tables).toEqual([{ name: '_prisma_migrations' }]);
  // What the error says to do.
  await query(
    databaseUrl,
    `DROP FUNCTION "identity_transition"; DELETE FROM "_prisma_migrations" WHERE "finished_at" IS NULL`,
  );
  expect(await applyMigrations({ databaseUrl })).toEqual(migrations);
});

test('a database that holds something else is refused, and left as it was', async () => {
  const databaseUrl = await emptyDatabase();
  await query(databaseUrl, 'CREATE TABLE "somebody_elses" ()');
  await expect(applyMigrations({ databaseUrl })).rejects.toThrow(/not empty/);
  const tables = await query(databaseUrl, `SELECT "tablename" AS name FROM pg_tables WHERE "schemaname" = 'public'`);
  expect(tables).toEqual([{ name: 'somebody_elses' }]);
});

test('functions with semicolons in them arrive whole: a script is one statement to PostgreSQL', async () => {
  const databaseUrl = await emptyDatabase();
  await applyMigrations({ databaseUrl });
  const functions = await query<{ name: string }>(
    databaseUrl,
    `SELECT "proname" AS name FROM pg_proc WHERE "pronamespace" = 'public'::regnamespace AND "prolang" = (SELECT "oid" FROM pg_language WHERE "lanname" = 'plpgsql')`,
  );
  expect(functions.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['credential_transition', 'credential_begin', 'evidence_chain_heads', 'request_transition']),
  );
});

test('an unreachable database is the driver’s error, not a hang', async () => {
  await expect(applyMigrations({ databaseUrl: 'postgresql://nobody@127.0.0.1:1/none' })).rejects.toThrow(
    /ECONNREFUSED/,
  );
});
