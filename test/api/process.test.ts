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

let home: string;
let database: FreshDatabase;
let port: number;
const children: ChildProcess[] = [];

beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'tenure-api-process-'));
  database = await freshDatabase();
  port = await freePort();
});
afterEach(async () => {
  for (const child of children.splice(0))
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  await database.drop();
  rmSync(home, { recursive: true, force: true });
});

/** The API process on a database of its own and with Temporal nowhere. */
async function startApi(addition = '') {
  const nowhere = await freePort();
  writeFileSync(join(home, 'sealed.key'), `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
  const file = join(home, 'tenure.yaml');
  writeFileSync(
    file,
    `{listen: '127.0.0.1:${port}', keys: {directory: keys}, temporal: {address: '127.0.0.1:${nowhere}'}, stores: {sealed: {type: sealed, keyFile: sealed.key}}, ${addition}}`,
  );
  const child = fork(new URL('../../api/main.ts', import.meta.url), {
    env: { PATH: process.env['PATH'], TENURE_CONFIG: file, DATABASE_URL: database.url },
    silent: true,
  });
  children.push(child);
  const messages: string[] = [];
  const exit = once(child, 'exit');
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error('the API was started without its output');
  let complaints = '';
  stderr.on('data', (chunk) => {
    complaints += chunk;
  });
  const ready = new Promise<void>((resolve, reject) => {
    createInterface({ input: stdout }).on('line', (line) => {
      const { msg } = JSON.parse(line);
      messages.push(msg);
      if (msg === 'api ready') resolve();
    });
    exit.then(() => reject(new Error(`${messages.join('\n')}${complaints}`)));
  });
  return { child, messages, ready, exitCode: exit.then(([code]) => code) };
}

test('the API starts and answers while Temporal is down, and ends in order when it is told to', async () => {
  const { child, messages, ready, exitCode } = await startApi();
  await ready;
  const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
  expect([answer.status, await answer.json()]).toMatchObject([200, { status: 'degraded' }]);
  child.kill('SIGTERM');
  expect(await exitCode).toBe(0);
  expect(messages.at(-1)).toBe('api stopped');
});

test('the API ends when the process that started it has gone', async () => {
  const { child, ready, exitCode } = await startApi();
  await ready;
  child.disconnect();
  expect(await exitCode).toBe(0);
});

test('a port that is taken is a clear error, and the API ends', async () => {
  const other = createServer().listen(port, '127.0.0.1');
  await once(other, 'listening');
  const { messages, ready, exitCode } = await startApi();
  ready.catch(() => undefined);
  expect(await exitCode).toBe(1);
  expect(messages).toContain(`cannot listen on 127.0.0.1:${port}; free the port or change "listen" in tenure.yaml`);
  other.close();
});

test('a configuration that cannot be used ends the start with one line that says where it is wrong', async () => {
  const { messages, ready, exitCode } = await startApi('colour: red');
  ready.catch(() => undefined);
  expect(await exitCode).toBe(1);
  expect(messages).toEqual([expect.stringMatching(/tenure\.yaml:1:\d+: colour is not a known key/)]);
});
