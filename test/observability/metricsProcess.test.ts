import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { freePort } from '../../embedded/ports.ts';
import { type FreshDatabase, freshDatabase } from '../setup/database.ts';
import { type Sample, samplesOf } from './samples.ts';

let home: string;
let database: FreshDatabase;
let ports: { api: number; metrics: number };
const children: ChildProcess[] = [];

beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'tenure-metrics-'));
  database = await freshDatabase();
  ports = { api: await freePort(), metrics: await freePort() };
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  }
  await database.drop();
  rmSync(home, { recursive: true, force: true });
});

/** The API process with its metrics, and Temporal nowhere. */
async function startApi(): Promise<{ child: ChildProcess; lines: string[]; ready: Promise<void> }> {
  writeFileSync(join(home, 'sealed.key'), `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
  const file = join(home, 'tenure.yaml');
  const temporal = await freePort();
  writeFileSync(
    file,
    `{listen: '127.0.0.1:${ports.api}', metrics: {api: '127.0.0.1:${ports.metrics}'}, keys: {directory: keys},
      temporal: {address: '127.0.0.1:${temporal}'}, stores: {sealed: {type: sealed, keyFile: sealed.key}}}`,
  );
  const child = fork(new URL('../../api/main.ts', import.meta.url), {
    env: { PATH: process.env['PATH'], TENURE_CONFIG: file, DATABASE_URL: database.url },
    silent: true,
  });
  children.push(child);
  const { stdout } = child;
  if (stdout === null) throw new Error('the API was started without its output');
  const lines: string[] = [];
  const ready = new Promise<void>((resolve, reject) => {
    createInterface({ input: stdout }).on('line', (line) => {
      lines.push(line);
      if (line.includes('"api ready"')) resolve();
    });
    child.once('exit', () => reject(new Error(lines.join('\n'))));
  });
  return { child, lines, ready };
}

const call = (path: string, options?: RequestInit) => fetch(`http://127.0.0.1:${ports.api}${path}`, options);
const scrape = async (): Promise<readonly Sample[]> =>
  samplesOf(await (await fetch(`http://127.0.0.1:${ports.metrics}/metrics`)).text()).filter(({ name }) =>
    name.startsWith('tenure_'),
  );

test('metrics name the route and the status of a call, and nothing that the caller sent', async () => {
  const { ready } = await startApi();
  await ready;
  const canary = 'ann.canary@example.com';
  await call(`/v1/requests/${canary}`);
  await call(`/v1/identities/${canary}/secret?token=${canary}`, { headers: { 'x-canary': canary } });
  await call(`/${canary}`);
  await call(`/v1/requests/${canary}`, { method: 'PROPFIND' });
  const text = await (await fetch(`http://127.0.0.1:${ports.metrics}/metrics`)).text();
  expect(text).not.toContain('canary');
  const calls = samplesOf(text).filter(({ name }) => name === 'tenure_api_request_seconds_count');
  expect(calls.map(({ labels }) => labels)).toEqual(
    expect.arrayContaining([
      { method: 'GET', route: '/v1/requests/{requestId}', status: '401' },
      { method: 'GET', route: '/v1/identities/{identityId}/secret', status: '401' },
      { method: 'GET', route: 'none', status: '404' },
      { method: 'other', route: '/v1/requests/{requestId}', status: '405' },
    ]),
  );
});

test('a hundred unknown paths make no new series', async () => {
  const { ready } = await startApi();
  await ready;
  await call('/nothing');
  const before = (await scrape()).length;
  for (let path = 0; path < 100; path += 1) await call(`/nothing/${path}`);
  expect((await scrape()).length).toBe(before);
});

test('metrics have a port of their own: the API does not serve them, and their port serves nothing else', async () => {
  const { ready, child } = await startApi();
  await ready;
  expect((await call('/metrics')).status).toBe(404);
  const metrics = `http://127.0.0.1:${ports.metrics}`;
  expect((await fetch(`${metrics}/healthz`)).status).toBe(200);
  expect((await fetch(`${metrics}/v1/identities`)).status).toBe(404);
  expect((await fetch(`${metrics}/metrics`, { method: 'POST' })).status).toBe(405);
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  expect(await exit).toEqual([0, null]);
});

test('a port for metrics that is taken ends the start with what to do', async () => {
  const other = createServer().listen(ports.metrics, '127.0.0.1');
  await once(other, 'listening');
  const { child, ready, lines } = await startApi();
  ready.catch(() => undefined);
  expect(await once(child, 'exit')).toEqual([1, null]);
  expect(lines.join('\n')).toContain(
    `Metrics cannot be served on 127.0.0.1:${ports.metrics}. Free the port, or change \\"metrics\\" in tenure.yaml.`,
  );
  other.close();
});
