import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../embedded/ports.ts';
import { startPostgres } from '../../embedded/postgres.ts';
import { admitDatabaseUser } from '../../embedded/unprivilegedUser.ts';
import { temporaryDirectory } from './stateDirectory.ts';

async function start(directory: string) {
  const server = await startPostgres({ directory, port: await freePort() });
  onTestFinished(() => server.stop());
  return server;
}

function stateDirectory(): string {
  const directory = temporaryDirectory();
  admitDatabaseUser(directory);
  return join(directory, 'postgres');
}

async function rows(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

test('logins are by SCRAM over the loopback only, text is UTF-8 and sorts by code point on every machine', async () => {
  const server = await start(stateDirectory());
  expect(
    await rows(
      server.url(),
      `SELECT current_setting('password_encryption') AS encryption, current_setting('server_encoding') AS encoding,
              current_setting('listen_addresses') AS addresses, current_setting('unix_socket_directories') AS sockets,
              (SELECT datlocale FROM pg_database WHERE datname = 'postgres') AS locale`,
    ),
  ).toEqual([
    { encryption: 'scram-sha-256', encoding: 'UTF8', addresses: '127.0.0.1', sockets: '', locale: 'C.UTF-8' },
  ]);
  const wrong = new URL(server.url());
  wrong.password = 'wrong';
  await expect(rows(wrong.href, 'SELECT 1')).rejects.toThrow('password authentication failed');
});

test('after a crash of the server the next start recovers what was committed', async () => {
  const directory = stateDirectory();
  const first = await start(directory);
  await rows(first.url(), 'CREATE TABLE kept AS SELECT 1 AS value');
  process.kill(first.process.pid, 'SIGKILL');
  await first.process.ended;
  const second = await start(directory);
  expect(await rows(second.url(), 'SELECT value FROM kept')).toEqual([{ value: 1 }]);
});

test('a server that still runs on the cluster is ended first, so that never two write to it', async () => {
  const directory = stateDirectory();
  const first = await start(directory);
  const second = await start(directory);
  expect(first.process.hasEnded()).toBe(true);
  expect(await rows(second.url(), 'SELECT 1 AS alive')).toEqual([{ alive: 1 }]);
});

test('a pid file that names a living process of another program does not block the start', async () => {
  const directory = stateDirectory();
  const first = await start(directory);
  const pidFile = join(directory, 'cluster', 'postmaster.pid');
  const content = readFileSync(pidFile, 'utf8');
  await first.stop();
  writeFileSync(pidFile, content.replace(/^\d+/, String(process.pid)));
  await start(directory);
});

test('a first start that was cut off while making the cluster starts anew', async () => {
  const directory = stateDirectory();
  const first = await start(directory);
  await first.stop();
  // As an interrupted initdb leaves it: a version file, and not much else.
  rmSync(join(directory, 'cluster'), { recursive: true });
  mkdirSync(join(directory, 'cluster.unfinished'));
  writeFileSync(join(directory, 'cluster.unfinished', 'PG_VERSION'), '18\n');
  const second = await start(directory);
  expect(await rows(second.url(), 'SELECT 1 AS alive')).toEqual([{ alive: 1 }]);
  expect(existsSync(join(directory, 'cluster.unfinished'))).toBe(false);
});
