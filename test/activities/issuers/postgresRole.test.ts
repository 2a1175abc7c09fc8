import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import type { CreateOrder } from '../../../activities/issuers/issuer.ts';
import { createPostgresRoleIssuer } from '../../../activities/issuers/postgresRole.ts';
import { namesOfHandle } from '../../../activities/issuers/postgresRoleNames.ts';
import { freePort } from '../../../embedded/ports.ts';
import { startPostgres } from '../../../embedded/postgres.ts';
import { admitDatabaseUser } from '../../../embedded/unprivilegedUser.ts';
import { rejectionOf } from '../../contract/canaries.ts';
import { type ClosableIssuer, randomIdentityId, secondsFromNow } from '../../contract/issuers/issuerContract.ts';
import { freshDatabase } from '../../setup/database.ts';
import { type PostgresSubject, postgresSubject } from './postgresSubject.ts';

let subject: PostgresSubject;
let issuer: ClosableIssuer;

beforeAll(async () => {
  subject = await postgresSubject();
  issuer = subject.issuer();
});

afterAll(async () => {
  await issuer.close();
  await subject.close();
});

async function newOrder(given: Partial<CreateOrder> = {}): Promise<CreateOrder & { owner: string; login: string }> {
  const identityId = given.identityId ?? randomIdentityId();
  const handle = given.handle ?? `${identityId}-v1`;
  const secret = await issuer.generateSecret({ handle });
  const login = `tenure_${handle.replace('-', '_')}`;
  const order = { handle, identityId, secret, scopes: ['orders:write'], validUntil: secondsFromNow(300), ...given };
  return { ...order, owner: `tenure_${identityId}`, login };
}

async function created(given: Partial<CreateOrder> = {}) {
  const order = await newOrder(given);
  await issuer.create(order);
  return order;
}

/** Runs `work` as a consumer would: logged in with the issued credential. */
async function asConsumer<T>(
  order: { handle: string; secret: string },
  work: (client: pg.Client) => Promise<T>,
  database = subject.databaseName,
): Promise<T> {
  const url = new URL(subject.adminUrl);
  url.username = namesOfHandle(order.handle)?.login ?? '';
  url.password = order.secret;
  url.pathname = `/${database}`;
  const client = new pg.Client({ connectionString: url.href });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

async function rolesLike(pattern: string): Promise<string[]> {
  const rows = await subject.asSuperuser<{ rolname: string }>(
    'SELECT rolname FROM pg_roles WHERE rolname LIKE $1 ORDER BY 1',
    [pattern],
  );
  return rows.map(({ rolname }) => rolname);
}

async function membershipsOf(role: string): Promise<string[]> {
  const rows = await subject.asSuperuser<{ rolname: string }>(
    'SELECT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid WHERE m.member = $1::regrole ORDER BY 1',
    [role],
  );
  return rows.map(({ rolname }) => rolname);
}

async function ownerOfTable(table: string): Promise<string | undefined> {
  const [row] = await subject.asSuperuser<{ tableowner: string }>(
    'SELECT tableowner FROM pg_tables WHERE tablename = $1',
    [table],
  );
  return row?.tableowner;
}

test('a login is named after its handle, fits in 63 bytes and carries its tag', async () => {
  const order = await created();
  expect(namesOfHandle(order.handle)?.login).toBe(order.login);
  expect(namesOfHandle(`${order.identityId}-v999999999`)?.login.length).toBeLessThanOrEqual(63);
  const tags = await subject.asSuperuser(
    `SELECT rolname, shobj_description(oid, 'pg_authid') AS tag FROM pg_roles WHERE rolname LIKE $1 ORDER BY 1`,
    [`${order.owner}%`],
  );
  expect(tags).toEqual([
    { rolname: order.owner, tag: `tenure:${subject.installationId}:${order.identityId}` },
    { rolname: order.login, tag: `tenure:${subject.installationId}:${order.handle}` },
  ]);
});

test('an installation id with quotes neither breaks SQL nor is taken for another', async () => {
  const odd = subject.issuer({ installationId: `x'; DROP ROLE "admin"; --` });
  const order = await newOrder();
  await odd.create(order);
  expect((await odd.list()).map(({ handle }) => handle)).toEqual([order.handle]);
  expect(await issuer.list(order)).toEqual([]);
  await odd.destroy(order);
  await odd.close();
});

test("what a consumer makes belongs to the identity's role, and outlives the credential", async () => {
  const order = await created();
  await asConsumer(order, (client) => client.query(`CREATE TABLE made_by_${order.identityId} (id int)`));
  await issuer.destroy(order);
  expect(await ownerOfTable(`made_by_${order.identityId}`)).toBe(order.owner);
  const next = await created({ identityId: order.identityId, handle: `${order.identityId}-v2` });
  await asConsumer(next, (client) => client.query(`INSERT INTO made_by_${order.identityId} VALUES (1)`));
});

test("what a login made under its own name goes to the identity's role, in every database", async () => {
  const other = await freshDatabase();
  const order = await created();
  const stray = `stray_${order.identityId}`;
  const inOther = new pg.Client({ connectionString: other.url });
  await inOther.connect();
  await inOther.query(`CREATE SCHEMA ${stray} AUTHORIZATION ${order.owner}`);
  const make = (client: pg.Client, schema: string) =>
    client.query(
      `RESET ROLE; SET ROLE NONE; CREATE TABLE ${schema}.${stray} (id int); CREATE FUNCTION ${schema}.${stray}() RETURNS int RETURN 1`,
    );
  await asConsumer(order, (client) => make(client, 'public'));
  await asConsumer(order, (client) => make(client, stray), other.name);
  expect(await ownerOfTable(stray)).toBe(order.login);

  await issuer.destroy(order);

  expect(await ownerOfTable(stray)).toBe(order.owner);
  const { rows } = await inOther.query('SELECT tableowner FROM pg_tables WHERE tablename = $1', [stray]);
  expect(rows).toEqual([{ tableowner: order.owner }]);
  expect(await rolesLike(`${order.login}%`)).toEqual([]);
  await inOther.end();
  await other.drop();
});

test('destroy ends the sessions of the credential and of no other', async () => {
  const order = await created();
  const other = await created();
  const ended = Promise.withResolvers<void>();
  await asConsumer(other, async (survivor) => {
    await asConsumer(order, async (client) => {
      client.on('error', () => ended.resolve());
      await issuer.destroy(order);
      await ended.promise;
    });
    expect((await survivor.query('SELECT 1 AS alive')).rows).toEqual([{ alive: 1 }]);
  });
});

test('after a destroy the administrator keeps no rights of the identity', async () => {
  const order = await created();
  const withRights = `SELECT count(*)::int AS count FROM pg_auth_members WHERE roleid = $1::regrole AND (inherit_option OR set_option) AND member <> ALL(SELECT oid FROM pg_roles WHERE rolname LIKE 'tenure!_%' ESCAPE '!')`;
  await issuer.destroy(order);
  expect(await subject.asSuperuser(withRights, [order.owner])).toEqual([{ count: 0 }]);
});

test('a login that cannot be removed yet stays disabled, says what is in the way, and goes when that is gone', async () => {
  const order = await created();
  const table = `theirs_${order.identityId}`;
  await subject.asSuperuser(`CREATE TABLE ${table} (id int); GRANT SELECT ON ${table} TO ${order.login}`);
  const error = await rejectionOf(issuer.destroy(order));
  expect(error.name).toBe('DestroyIncomplete');
  expect(error.message).toContain(`privileges for table ${table}`);
  expect(await issuer.prove(order)).toBe('refused');
  expect((await issuer.list(order)).map(({ handle }) => handle)).toEqual([order.handle]);
  await subject.asSuperuser(`REVOKE SELECT ON ${table} FROM ${order.login}`);
  await issuer.destroy(order);
  expect(await issuer.list(order)).toEqual([]);
});

test('a disabled login is not brought back by a late create', async () => {
  const order = await created();
  await subject.asSuperuser(`ALTER ROLE ${order.login} NOLOGIN`);
  expect((await rejectionOf(issuer.create(order))).name).toBe('HandleNotResumable');
  expect(await issuer.prove(order)).toBe('refused');
});

test('a late create of an older version is refused, so that its outdated scopes cannot come back', async () => {
  const first = await created({ scopes: ['orders:write', 'ledger:read'] });
  await created({ identityId: first.identityId, handle: `${first.identityId}-v2`, scopes: ['orders:write'] });
  await issuer.destroy(first);
  const error = await rejectionOf(issuer.create(first));
  expect(error.name).toBe('IssuerRefused');
  expect(error.message).toContain('version 2');
  expect(await membershipsOf(first.owner)).toEqual([subject.scopeRoles[0]]);
});

test("the identity's role has exactly its scopes after each create, whoever granted more", async () => {
  const order = await created({ scopes: ['orders:write', 'ledger:read', 'orders:write'] });
  expect(await membershipsOf(order.owner)).toEqual([...subject.scopeRoles].sort());
  await created({ identityId: order.identityId, handle: `${order.identityId}-v2`, scopes: ['ledger:read'] });
  expect(await membershipsOf(order.owner)).toEqual([subject.scopeRoles[1]]);
  await subject.asSuperuser(`GRANT pg_read_all_data TO ${order.owner}`);
  const third = await newOrder({ identityId: order.identityId, handle: `${order.identityId}-v3` });
  // Our administrator may not take back what a superuser granted, so nothing is issued on top of it.
  const error = await rejectionOf(issuer.create(third));
  expect(error.name).toBe('IssuerRefused');
  expect(error.message).toContain('pg_read_all_data');
  expect(await rolesLike(`${third.login}%`)).toEqual([]);
  expect(await membershipsOf(order.owner)).toEqual(['pg_read_all_data', subject.scopeRoles[1]].sort());
});

test('a consumer has the rights of its scopes, and can neither act as their roles nor hand them on', async () => {
  const order = await created();
  const role = pg.escapeIdentifier(subject.scopeRoles[0]);
  await asConsumer(order, async (client) => {
    expect((await client.query(`SELECT current_user, session_user`)).rows).toEqual([
      { current_user: order.owner, session_user: order.login },
    ]);
    expect((await client.query(`SELECT pg_has_role($1, 'USAGE') AS usage`, [subject.scopeRoles[0]])).rows).toEqual([
      { usage: true },
    ]);
    await expect(client.query(`SET ROLE ${role}`)).rejects.toThrow('permission denied');
    await expect(client.query(`GRANT ${role} TO PUBLIC`)).rejects.toThrow();
    await expect(client.query(`ALTER ROLE ${order.login} VALID UNTIL 'infinity'`)).rejects.toThrow('permission denied');
  });
});

test('a scope whose role is missing in the database is refused by both names', async () => {
  const misconfigured = subject.issuer({ scopes: { 'orders:write': 'no_such_role' } });
  const order = await newOrder();
  const error = await rejectionOf(misconfigured.create(order));
  expect(error.name).toBe('IssuerRefused');
  expect(error.message).toMatch(/no_such_role.*orders:write/);
  expect(await rolesLike(`${order.owner}%`)).toEqual([]);
  await misconfigured.close();
});

test.each(['constructor', '__proto__', 'toString'])('the scope name %s means nothing by accident', async (scope) => {
  expect((await rejectionOf(issuer.create(await newOrder({ scopes: [scope] })))).message).toContain(scope);
});

test('a role of ours that somebody renamed is reported, not taken for destroyed', async () => {
  const order = await created();
  const renamed = `renamed_${order.identityId}`;
  await subject.asSuperuser(`ALTER ROLE ${order.login} RENAME TO ${renamed}`);
  expect((await rejectionOf(issuer.destroy(order))).message).toContain(renamed);
  expect((await issuer.list(order)).map(({ handle }) => handle)).toEqual([order.handle]);
  await subject.asSuperuser(`ALTER ROLE ${renamed} RENAME TO ${order.login}`);
  await issuer.destroy(order);
});

test('retiring an identity that owns nothing removes its role and takes back what the role had granted', async () => {
  const order = await created();
  await asConsumer(order, (client) => client.query('ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC'));
  await issuer.destroy(order);
  await issuer.retireIdentity(order);
  expect(await rolesLike(`${order.owner}%`)).toEqual([]);
});

test('retiring an identity keeps its role, unusable, while rights that others granted to it remain', async () => {
  const order = await created();
  const table = `granted_${order.identityId}`;
  await subject.asSuperuser(`CREATE TABLE ${table} (id int); GRANT SELECT ON ${table} TO ${order.owner}`);
  await issuer.destroy(order);
  await issuer.retireIdentity(order);
  expect(await rolesLike(`${order.owner}%`)).toEqual([order.owner]);
  await subject.asSuperuser(`REVOKE SELECT ON ${table} FROM ${order.owner}`);
  await issuer.retireIdentity(order);
  expect(await rolesLike(`${order.owner}%`)).toEqual([]);
});

test('retiring an identity that owns objects keeps its role without any scope, and its objects', async () => {
  const order = await created();
  await asConsumer(order, (client) => client.query(`CREATE TABLE kept_${order.identityId} (id int)`));
  await issuer.destroy(order);
  await issuer.retireIdentity(order);
  expect(await rolesLike(`${order.owner}%`)).toEqual([order.owner]);
  expect(await membershipsOf(order.owner)).toEqual([]);
  expect(await ownerOfTable(`kept_${order.identityId}`)).toBe(order.owner);
});

test('retiring an identity gives its objects to the configured role, and removes its own', async () => {
  const heir = `heir_${subject.databaseName}`;
  const [{ admin } = { admin: '' }] = await subject.asSuperuser<{ admin: string }>(`SELECT quote_ident($1) AS admin`, [
    decodeURIComponent(new URL(subject.adminUrl).username),
  ]);
  await subject.asSuperuser(
    `CREATE ROLE ${heir} NOLOGIN; GRANT ${heir} TO ${admin}; GRANT CREATE ON SCHEMA public TO ${heir}`,
  );
  const heirs = subject.issuer({ reassignTo: heir });
  const order = await created();
  await asConsumer(order, (client) => client.query(`CREATE TABLE inherited_${order.identityId} (id int)`));
  await heirs.destroy(order);
  await heirs.retireIdentity(order);
  expect(await ownerOfTable(`inherited_${order.identityId}`)).toBe(heir);
  expect(await rolesLike(`${order.owner}%`)).toEqual([]);
  await heirs.close();
});

test('the issuer works the same for a superuser', async () => {
  const superuser = subject.issuer({ url: superuserUrl() });
  const order = await newOrder();
  await superuser.create(order);
  await asConsumer(order, (client) => client.query(`SET ROLE NONE; CREATE TABLE super_${order.identityId} (id int)`));
  await superuser.destroy(order);
  expect(await ownerOfTable(`super_${order.identityId}`)).toBe(order.owner);
  await superuser.close();
});

function superuserUrl(): string {
  const url = new URL(inject('postgresUrl'));
  url.pathname = `/${subject.databaseName}`;
  return url.href;
}

test('the secret is in no log of the server, even when it logs every statement', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tenure-log-'));
  admitDatabaseUser(directory);
  const logFile = join(directory, 'postgres.log');
  const server = await startPostgres({
    directory: join(directory, 'postgres'),
    port: await freePort(),
    logFile,
    isDurable: false,
  });
  const logging = createPostgresRoleIssuer('logging', { url: server.url(), scopes: {}, installationId: 'logging' });
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  for (const setting of [
    `log_statement = 'all'`,
    `log_connections = 'on'`,
    'log_min_messages = debug2',
    'log_min_error_statement = debug5',
  ])
    await client.query(`ALTER SYSTEM SET ${setting}`);
  await client.query('SELECT pg_reload_conf()');
  await client.end();

  const order = await newOrder({ scopes: [] });
  await expect
    .poll(async () => {
      await logging.controlLogin();
      return readFileSync(logFile, 'utf8').includes('statement: SELECT 1');
    })
    .toBe(true);
  await logging.create(order);
  expect(await logging.prove(order)).toBe('accepted');
  await logging.destroy(order);
  expect(await logging.prove(order)).toBe('refused');
  await logging.close();
  await server.stop();

  const log = readFileSync(logFile, 'utf8');
  expect(log).toContain(`CREATE ROLE "${order.login}"`);
  expect(log.includes(order.secret)).toBe(false);
  expect(log.includes(Buffer.from(order.secret).toString('base64'))).toBe(false);
  rmSync(directory, { recursive: true, force: true });
});

test('a server that asks for no secret proves nothing, and one that bars the address says nothing about the credential', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tenure-trust-'));
  admitDatabaseUser(directory);
  const server = await startPostgres({
    directory: join(directory, 'postgres'),
    port: await freePort(),
    isDurable: false,
  });
  const trusting = createPostgresRoleIssuer('trusting', { url: server.url(), scopes: {}, installationId: 'trusting' });
  const order = await newOrder({ scopes: [] });
  await trusting.create(order);
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  const [{ hba }] = (await client.query(`SELECT current_setting('hba_file') AS hba`)).rows;
  const lines = readFileSync(hba, 'utf8');

  writeFileSync(hba, `host all "${order.login}" 127.0.0.1/32 trust\n${lines}`);
  await client.query('SELECT pg_reload_conf()');
  await expect
    .poll(async () => (await trusting.prove(order).catch((error: Error) => error.message)).includes('without asking'))
    .toBe(true);

  writeFileSync(hba, `host all "${order.login}" 127.0.0.1/32 reject\n${lines}`);
  await client.query('SELECT pg_reload_conf()');
  await expect
    .poll(async () =>
      (await trusting.prove(order).catch((error: Error) => error.message)).includes('pg_hba.conf rejects'),
    )
    .toBe(true);

  await client.end();
  await trusting.close();
  await server.stop();
  rmSync(directory, { recursive: true, force: true });
});
