import { createServer, connect as dial, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { type DirectPool, NotCommitted, openDirect, TransactionEnded } from '../../ledger/direct.ts';
import { isLedgerUnavailable } from '../../ledger/queries/readiness.ts';
import { insertNewRow, insertRow, RowMissing, updateRow } from '../../ledger/rows.ts';
import type { Statements } from '../../ledger/statements.ts';
import { freshDatabase } from '../setup/database.ts';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A pool of one connection, so that whatever is left on it meets the next to use it. */
async function directPool(through = (url: string) => Promise.resolve(url)): Promise<DirectPool> {
  const database = await freshDatabase();
  cleanups.push(() => database.drop());
  const direct = openDirect({ databaseUrl: await through(database.url), poolSize: 1 });
  cleanups.push(() => direct.close());
  return direct;
}

const call = (key: string) => ({ principal: 'somebody', key, operation: 'test', bodyDigest: key });
const keysOf = async (tx: Statements) =>
  (await tx.$queryRaw<{ key: string }[]>`SELECT "key" FROM "idempotent_call" ORDER BY "key"`).map(({ key }) => key);

test('statements that are not waited for are carried out in the order of the calls, and commit together', async () => {
  const direct = await directPool();
  const [, , , seen] = await direct.transaction('BEGIN', (tx) =>
    Promise.all([
      insertRow(tx, 'idempotent_call', call('a')),
      insertRow(tx, 'idempotent_call', call('b')),
      updateRow(tx, 'idempotent_call', { principal: 'somebody', key: 'a' }, { requestId: 'r1' }),
      tx.$queryRaw`SELECT "key", "requestId" FROM "idempotent_call" ORDER BY "key"`,
    ]),
  );
  expect(seen).toEqual([
    { key: 'a', requestId: 'r1' },
    { key: 'b', requestId: null },
  ]);
  expect(await keysOf(direct)).toEqual(['a', 'b']);
});

test('of a transaction in which one statement fails nothing stays, and whoever asked is told which', async () => {
  const direct = await directPool();
  const failing = direct.transaction('BEGIN', (tx) =>
    Promise.all([
      insertRow(tx, 'idempotent_call', call('a')),
      insertRow(tx, 'idempotent_call', call('a')),
      insertRow(tx, 'idempotent_call', call('b')),
    ]),
  );
  await expect(failing).rejects.toMatchObject({ code: '23505' });
  expect(await keysOf(direct)).toEqual([]);
});

test('work that passes over a failed statement is told that nothing was committed', async () => {
  const direct = await directPool();
  const careless = direct.transaction('BEGIN', async (tx) => {
    await insertRow(tx, 'idempotent_call', call('a'));
    await tx.$executeRaw`SELECT 1 / 0`.catch(() => undefined);
  });
  await expect(careless).rejects.toThrow(NotCommitted);
  expect(await keysOf(direct)).toEqual([]);
});

test('what is asked for after the end of a transaction is refused, and not done outside of it', async () => {
  const direct = await directPool();
  let late: Statements | undefined;
  const failing = direct.transaction('BEGIN', async (tx) => {
    late = tx;
    throw new Error('another part of the work failed');
  });
  await expect(failing).rejects.toThrow('another part of the work failed');
  await expect(late && insertRow(late, 'idempotent_call', call('a'))).rejects.toThrow(TransactionEnded);
  expect(await keysOf(direct)).toEqual([]);
});

test('a change of a row that is not there undoes everything', async () => {
  const direct = await directPool();
  const failing = direct.transaction('BEGIN', (tx) =>
    Promise.all([
      insertRow(tx, 'idempotent_call', call('a')),
      updateRow(tx, 'idempotent_call', { principal: 'nobody', key: 'a' }, { requestId: 'r1' }),
    ]),
  );
  await expect(failing).rejects.toThrow(RowMissing);
  expect(await keysOf(direct)).toEqual([]);
});

test('a row whose key is there stays as it is, and its second writer is told', async () => {
  const direct = await directPool();
  expect(await insertNewRow(direct, 'idempotent_call', call('a'))).toBe(true);
  expect(await insertNewRow(direct, 'idempotent_call', { ...call('a'), operation: 'other' })).toBe(false);
  expect(await direct.$queryRaw`SELECT "operation" FROM "idempotent_call"`).toEqual([{ operation: 'test' }]);
});

test('values come back as Prisma reads them', async () => {
  const direct = await directPool();
  const at = new Date('2026-11-22T10:00:00.123Z');
  const [row] = await direct.$queryRaw<unknown[]>`
    SELECT 9007199254740993::bigint AS "large", ${at}::timestamptz AS "at", ${['a', 'b']}::text[] AS "list",
      ${JSON.stringify({ a: [1] })}::jsonb AS "json", ${Buffer.from('ab', 'hex')}::bytea AS "bytes", ${null}::text AS "none"`;
  expect(row).toEqual({
    large: 9007199254740993n,
    at,
    list: ['a', 'b'],
    json: { a: [1] },
    bytes: Buffer.from('ab', 'hex'),
    none: null,
  });
});

test('a transaction whose session PostgreSQL ends is undone and says that the ledger was away; the next one finds another', async () => {
  const direct = await directPool();
  const ended = direct.transaction('BEGIN', async (tx) => {
    await insertRow(tx, 'idempotent_call', call('a'));
    await tx.$queryRaw`SELECT pg_terminate_backend(pg_backend_pid())`;
  });
  const error: unknown = await ended.catch((reason: unknown) => reason);
  expect(isLedgerUnavailable(error)).toBe(true);
  expect(await keysOf(direct)).toEqual([]);
});

test('a transaction whose work stands still is ended by PostgreSQL, and keeps its connection from nobody', async () => {
  const direct = await directPool();
  const standing = direct.transaction(`BEGIN; SET LOCAL transaction_timeout = '300ms'`, async (tx) => {
    await insertRow(tx, 'idempotent_call', call('a'));
    await new Promise(() => undefined);
  });
  const error: unknown = await standing.catch((reason: unknown) => reason);
  expect(isLedgerUnavailable(error)).toBe(true);
  expect(await keysOf(direct)).toEqual([]);
});

test('a server that falls silent is given up: whoever waits is told, and its connection is used by nobody again', async () => {
  const open: Socket[] = [];
  const direct = await directPool(async (url) => {
    const target = new URL(url);
    const { hostname, port } = target;
    const server = createServer((client) => {
      const upstream = dial(Number(port), hostname);
      open.push(client);
      client.on('error', () => undefined).pipe(upstream);
      upstream.on('error', () => undefined).pipe(client);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanups.push(async () => server.close());
    const address = server.address();
    target.hostname = '127.0.0.1';
    target.port = String(typeof address === 'object' && address?.port);
    return target.href;
  });
  expect(await keysOf(direct)).toEqual([]);
  const error: unknown = await direct
    .transaction('BEGIN', async (tx) => {
      await insertRow(tx, 'idempotent_call', call('a'));
      for (const client of open) client.unpipe().pause();
      await insertRow(tx, 'idempotent_call', call('b'));
    })
    .catch((reason: unknown) => reason);
  expect(isLedgerUnavailable(error)).toBe(true);
  for (const client of open.splice(0)) client.destroy();
  expect(await keysOf(direct)).toEqual([]);
});
