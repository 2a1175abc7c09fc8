import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import pg from 'pg';
import { scramVerifier } from '../activities/issuers/scramVerifier.ts';
import type { PostgresServer } from './postgres.ts';
import { keptSecret, writePrivateFile } from './privateFiles.ts';
import type { StateLayout } from './stateLayout.ts';

/** Scopes of the generated tenure.yaml and the role of the example application that each one grants. */
export const applicationScopes = { 'orders:read': 'app_orders_read', 'orders:write': 'app_orders_write' } as const;

export interface Databases {
  /** The ledger, as its owner, who is no superuser. */
  readonly ledgerUrl: string;
  /** The example application's database, as the issuer's administrator. */
  readonly issuerUrl: string;
}

/**
 * Makes what lives on the embedded PostgreSQL: the ledger's database, and a small application `app` whose tables are what
 * credentials of the embedded issuer open. The issuer's administrator may make roles and grant the application's, and is
 * no superuser; the roles that it makes cannot enter the ledger. Idempotent. Writes both URLs to 0600 files.
 */
export async function prepareDatabases(
  postgres: Pick<PostgresServer, 'port' | 'url'>,
  state: StateLayout,
): Promise<Databases> {
  const password = (role: string) =>
    keptSecret(join(state.directory, 'databases', `${role}-password`), () => randomBytes(24).toString('base64url'));
  const passwords = { tenure: password('tenure'), tenure_issuer: password('tenure_issuer') };

  await withClient(postgres.url(), async (client) => {
    await ensureLogin(client, { role: 'tenure', password: passwords.tenure, attributes: '' });
    await ensureLogin(client, { role: 'tenure_issuer', password: passwords.tenure_issuer, attributes: 'CREATEROLE' });
    await ensureDatabase(client, { name: 'tenure', owner: 'tenure' });
    await ensureDatabase(client, { name: 'app', owner: 'postgres' });
    await client.query('REVOKE CONNECT ON DATABASE tenure, postgres, template1 FROM PUBLIC');
  });
  await withClient(postgres.url('app'), async (client) => {
    await client.query(`CREATE TABLE IF NOT EXISTS orders (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, item text NOT NULL, placed_at timestamptz NOT NULL DEFAULT now())`);
    const rights = { app_orders_read: 'SELECT', app_orders_write: 'SELECT, INSERT, UPDATE, DELETE' };
    for (const [role, right] of Object.entries(rights)) {
      if (!(await roleExists(client, role))) await client.query(`CREATE ROLE ${role} NOLOGIN`);
      await client.query(`GRANT ${right} ON orders TO ${role}`);
      await client.query(`GRANT ${role} TO tenure_issuer WITH ADMIN TRUE, INHERIT FALSE, SET FALSE`);
    }
  });

  const url = (user: keyof typeof passwords, database: string) =>
    `postgresql://${user}:${passwords[user]}@127.0.0.1:${postgres.port}/${database}`;
  const databases = { ledgerUrl: url('tenure', 'tenure'), issuerUrl: url('tenure_issuer', 'app') };
  writePrivateFile(state.ledgerUrl, databases.ledgerUrl);
  writePrivateFile(state.issuerUrl, databases.issuerUrl);
  return databases;
}

async function ensureLogin(
  client: pg.Client,
  { role, password, attributes }: { role: string; password: string; attributes: string },
): Promise<void> {
  if (!(await roleExists(client, role))) await client.query(`CREATE ROLE ${role} LOGIN ${attributes}`);
  // The server's log may quote a failing statement: it is given the verifier, never the password.
  await client.query(`ALTER ROLE ${role} PASSWORD ${pg.escapeLiteral(await scramVerifier(password))}`);
}

async function roleExists(client: pg.Client, role: string): Promise<boolean> {
  return (await client.query('SELECT FROM pg_roles WHERE rolname = $1', [role])).rowCount === 1;
}

async function ensureDatabase(client: pg.Client, { name, owner }: { name: string; owner: string }): Promise<void> {
  const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [name]);
  if (rowCount === 0) await client.query(`CREATE DATABASE ${name} OWNER ${owner}`);
}

async function withClient(url: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
