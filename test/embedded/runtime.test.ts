import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import pg from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { loadConfiguration } from '../../configuration/loadConfiguration.ts';
import { freePort } from '../../embedded/ports.ts';
import { isAlive } from '../../embedded/processIdentity.ts';
import { type EmbeddedOptions, type EmbeddedRuntime, startEmbedded } from '../../embedded/runtime.ts';
import { standIns } from './standIns.ts';
import { temporaryDirectory } from './stateDirectory.ts';

const serviceNames = ['PostgreSQL', 'Temporal', 'worker', 'API'] as const;

/** For the tests that leave everything running as they found it. */
let shared: EmbeddedRuntime;
let sharedState: string;
const told: string[] = [];

beforeAll(async () => {
  sharedState = mkdtempSync(join(tmpdir(), 'tenure-state-'));
  shared = await startEmbedded({
    stateDir: sharedState,
    processes: standIns,
    ports: { api: await freePort() },
    onProgress: (line) => told.push(line),
  });
});

afterAll(async () => {
  await shared.stop();
  rmSync(sharedState, { recursive: true });
});

async function start(options: Pick<EmbeddedOptions, 'stateDir'> & Partial<EmbeddedOptions>): Promise<EmbeddedRuntime> {
  const runtime = await startEmbedded({ processes: standIns, ports: { api: await freePort() }, ...options });
  onTestFinished(() => runtime.stop());
  return runtime;
}

function pidsOf(runtime: EmbeddedRuntime): number[] {
  return serviceNames.map((name) => runtime.service(name).pid() ?? Number.NaN);
}

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

async function withTemporal<T>(address: string, work: (client: Client) => Promise<T>): Promise<T> {
  const connection = await Connection.connect({ address });
  try {
    return await work(new Client({ connection }));
  } finally {
    await connection.close();
  }
}

test('stop leaves no process behind, and a restart goes on with ports, databases, open workflows and earlier tokens', async () => {
  const stateDir = temporaryDirectory();
  const first = await start({ stateDir });
  const token = await first.token('security-1');
  await query(first.postgres.superuserUrl('app'), `INSERT INTO orders (item) VALUES ('kept')`);
  await withTemporal(first.temporal.address, (client) =>
    client.workflow.start('onboarding', { workflowId: 'onboarding/kept', taskQueue: 'nobody' }),
  );
  const pids = pidsOf(first);
  expect(pids.every(isAlive)).toBe(true);
  await first.stop();
  expect(pids.some(isAlive)).toBe(false);

  const second = await start({ stateDir, ports: {} });
  expect(second.ports).toEqual(first.ports);
  expect(await query(second.postgres.superuserUrl('app'), 'SELECT item FROM orders')).toEqual([{ item: 'kept' }]);
  const run = await withTemporal(second.temporal.address, (client) =>
    client.workflow.getHandle('onboarding/kept').describe(),
  );
  expect(run.status.name).toBe('RUNNING');
  const keys = createRemoteJWKSet(new URL(`${second.issuer}/jwks`));
  const { payload } = await jwtVerify(token, keys, { issuer: second.issuer, audience: 'tenure' });
  expect(payload).toMatchObject({ sub: 'security-1@tenure.example', groups: ['security'] });
});

test('a second start on the same state is refused by the first one, named, and disturbs nothing', async () => {
  const pids = pidsOf(shared);
  await expect(startEmbedded({ stateDir: sharedState, processes: standIns })).rejects.toThrow(
    `Tenure is already running on ${sharedState}: process ${process.pid}, API ${shared.apiUrl}.`,
  );
  expect(pidsOf(shared)).toEqual(pids);
  expect(await query(shared.postgres.ledgerUrl, 'SELECT 1 AS alive')).toEqual([{ alive: 1 }]);
});

test('kill -9 of the whole leaves no process running, and the next start goes on', async () => {
  const stateDir = temporaryDirectory();
  const script = fileURLToPath(new URL('./runStandIns.ts', import.meta.url));
  const doomed = spawn(process.execPath, [script, stateDir, String(await freePort())]);
  doomed.stderr.pipe(process.stderr);
  const [line] = await new Promise<string[]>((resolve) => {
    createInterface({ input: doomed.stdout }).once('line', (text) => resolve([text]));
  });
  const { pids, token }: { pids: number[]; token: string } = JSON.parse(line ?? '{}');
  const dead = new Promise((resolve) => doomed.once('exit', resolve));
  doomed.kill('SIGKILL');
  await dead;

  const next = await start({ stateDir, ports: {} });
  await vi.waitFor(() => expect(pids.filter(isAlive)).toEqual([]), { timeout: 20_000 });
  const keys = createRemoteJWKSet(new URL(`${next.issuer}/jwks`));
  await expect(jwtVerify(token, keys)).resolves.toMatchObject({ payload: { sub: 'owner@tenure.example' } });
});

test('a taken port is refused by number, purpose and remedy before anything is started', async () => {
  const stateDir = temporaryDirectory();
  const port = await freePort();
  const squatter = createServer().listen(port, '127.0.0.1');
  onTestFinished(() => {
    squatter.close();
  });
  const done: string[] = [];
  await expect(
    startEmbedded({ stateDir, processes: standIns, ports: { api: port }, onProgress: (line) => done.push(line) }),
  ).rejects.toThrow(`Port ${port} on 127.0.0.1, wanted for the API, is in use by another program.`);
  expect(done).toEqual([]);
});

test('whatever dies is started again, its last words are told, and the rest keeps running', async () => {
  for (const name of serviceNames) {
    const before = pidsOf(shared);
    await shared.service(name).kill();
    await shared.service(name).ready();
    expect(told.some((line) => line.startsWith(`${name} was ended by SIGKILL. Its last lines:`))).toBe(true);
    const changed = serviceNames.filter((_, index) => pidsOf(shared)[index] !== before[index]);
    expect(changed).toEqual([name]);
  }
  expect(await query(shared.postgres.ledgerUrl, 'SELECT 1 AS alive')).toEqual([{ alive: 1 }]);
});

test('a service stopped on purpose stays down until it is started', async () => {
  const temporal = shared.service('Temporal');
  await temporal.stop();
  expect(temporal.pid()).toBeUndefined();
  await temporal.start();
  await withTemporal(shared.temporal.address, (client) => client.connection.ensureConnected());
});

test('all that is kept is closed to other users, and the generated configuration is valid and holds no secret', async () => {
  // Under root, the group of PostgreSQL's account passes through the directory without seeing what is in it.
  expect((statSync(sharedState).mode & 0o777).toString(8)).toBe(process.getuid?.() === 0 ? '710' : '700');
  for (const file of ['tenure.yaml', 'sign-in.json', 'sealed-store.key', 'databases/issuer-url', 'running.json']) {
    expect((statSync(`${sharedState}/${file}`).mode & 0o777).toString(8)).toBe('600');
  }
  const configuration = loadConfiguration(shared.configurationFile, {});
  expect(configuration.publicUrl).toBe(shared.apiUrl);
  expect(configuration.database).toEqual({ file: `${sharedState}/databases/ledger-url` });
});

test('the issuer administrator is no superuser, and a role that it makes cannot enter the ledger', async () => {
  const { postgres } = shared;
  expect(
    await query(postgres.issuerUrl, 'SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname = current_user'),
  ).toEqual([{ rolsuper: false, rolcreaterole: true }]);
  await query(postgres.issuerUrl, `CREATE ROLE someone LOGIN PASSWORD 'x'`);
  await query(postgres.issuerUrl, 'GRANT app_orders_read TO someone');
  const url = new URL(postgres.issuerUrl);
  url.username = 'someone';
  url.password = 'x';
  expect(await query(url.href, 'SELECT count(*)::int AS orders FROM orders')).toEqual([{ orders: 0 }]);
  url.pathname = '/tenure';
  await expect(query(url.href, 'SELECT 1')).rejects.toThrow('permission denied for database "tenure"');
});
