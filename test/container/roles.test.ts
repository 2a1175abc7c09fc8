import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { freePort } from '../../embedded/ports.ts';
import { type PostgresServer, startPostgres } from '../../embedded/postgres.ts';
import { admitDatabaseUser } from '../../embedded/unprivilegedUser.ts';
import { applyMigrations } from '../../ledger/migrate.ts';
import { root } from './dockerfile.ts';

const passwords = { LEDGER_PASSWORD: "l'edger", TEMPORAL_PASSWORD: 'temporal' } as const;
let directory: string;
let server: PostgresServer;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'tenure-roles-'));
  admitDatabaseUser(directory);
  server = await startPostgres({ directory, port: await freePort(), isDurable: false });
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  for (const statement of statementsOf(readFileSync(join(root, 'container/roles.sql'), 'utf8')))
    await client.query(statement);
  await client.end();
});
afterAll(async () => {
  await server.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** What psql makes of the file: `\getenv` reads the environment, and `:'name'` is its value as a literal. */
function statementsOf(script: string): string[] {
  const environment: Readonly<Record<string, string>> = passwords;
  const given = new Map<string, string>();
  for (const [, name = '', variable = ''] of script.matchAll(/^\\getenv (\w+) (\w+)$/gm))
    given.set(name, z.string().parse(environment[variable]));
  return script
    .replaceAll(/^(?:\\|--).*\n/gm, '')
    .replaceAll(/:'(\w+)'/g, (_, name: string) => pg.escapeLiteral(z.string().parse(given.get(name))))
    .split(/;\n/)
    .filter((statement) => statement.trim() !== '');
}

function urlOf(role: 'tenure' | 'temporal', database: string): string {
  const url = new URL(server.url(database));
  url.username = role;
  url.password = encodeURIComponent(passwords[role === 'tenure' ? 'LEDGER_PASSWORD' : 'TEMPORAL_PASSWORD']);
  return url.href;
}

async function run(connectionString: string, statement: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}

test('the login of the ledger can do all that an installation needs, and nothing at the server', async () => {
  const ledger = urlOf('tenure', 'tenure');
  expect((await applyMigrations({ databaseUrl: ledger })).length).toBeGreaterThan(0);
  for (const statement of [
    `SET session_replication_role = replica`,
    `CREATE ROLE another`,
    `CREATE DATABASE another`,
    `COPY (SELECT 1) TO PROGRAM 'true'`,
    `SET ROLE temporal`,
    `ALTER ROLE tenure SUPERUSER`,
  ])
    await expect(run(ledger, statement), statement).rejects.toMatchObject({ code: '42501' });
});

test('the login of Temporal reaches its own two databases and not the ledger, nor the other way round', async () => {
  for (const database of ['temporal', 'temporal_visibility'])
    await run(urlOf('temporal', database), 'CREATE TABLE schema_version (version_partition INT)');
  await run(urlOf('temporal', 'temporal_visibility'), 'CREATE EXTENSION IF NOT EXISTS btree_gin');
  const closed = [
    ['temporal', 'tenure'],
    ['temporal', 'postgres'],
    ['tenure', 'temporal'],
    ['tenure', 'temporal_visibility'],
    ['tenure', 'postgres'],
  ] as const;
  for (const [role, database] of closed)
    await expect(run(urlOf(role, database), 'SELECT 1'), `${role} at ${database}`).rejects.toMatchObject({
      code: '42501',
    });
});

test('each service is given the password of its own login only, and the superuser is the server’s own', () => {
  const { services } = z
    .object({ services: z.record(z.string(), z.object({ environment: z.record(z.string(), z.string()).default({}) })) })
    .parse(parse(readFileSync(join(root, 'compose.yaml'), 'utf8'), { merge: true }));
  const given = Object.entries(services).map(([name, { environment }]) => [
    name,
    [
      ...Object.values(environment)
        .join('\n')
        .matchAll(/\$\{(\w+_PASSWORD)/g),
    ].map(([, password]) => password),
  ]);
  expect(Object.fromEntries(given)).toEqual({
    api: ['LEDGER_PASSWORD'],
    worker: ['LEDGER_PASSWORD'],
    postgres: ['POSTGRES_PASSWORD', 'LEDGER_PASSWORD', 'TEMPORAL_PASSWORD'],
    'temporal-schema': ['TEMPORAL_PASSWORD'],
    temporal: ['TEMPORAL_PASSWORD'],
    'temporal-namespace': [],
  });
});
