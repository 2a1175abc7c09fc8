import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createSealedStore } from '../../../activities/stores/sealed.ts';
import { loadSealedKeys, type SealedKey, sealedKey, sealedKeys } from '../../../activities/stores/sealedKeys.ts';
import { rekeySealedValues, valuesUnderUnknownKeys } from '../../../activities/stores/sealedRekey.ts';
import { openPrisma } from '../../../ledger/client.ts';
import { rejectionOf } from '../../contract/canaries.ts';
import { randomIdentityId } from '../../contract/issuers/issuerContract.ts';
import { type FreshDatabase, freshDatabase } from '../../setup/database.ts';

let database: FreshDatabase;
let prisma: ReturnType<typeof openPrisma>;
let directory: string;

beforeAll(async () => {
  database = await freshDatabase();
  prisma = openPrisma({ databaseUrl: database.url });
  directory = mkdtempSync(join(tmpdir(), 'tenure-sealed-'));
});

afterAll(async () => {
  await prisma.$disconnect();
  await database.drop();
  rmSync(directory, { recursive: true });
});

function newKey(): SealedKey {
  return sealedKey(randomBytes(32).toString('base64'), 'the test');
}

function storeWith(...[writing, ...previous]: [SealedKey, ...SealedKey[]]) {
  return createSealedStore('sealed', { keys: sealedKeys(writing, previous), prisma });
}

async function promoted(key: SealedKey, value = randomBytes(12).toString('hex')) {
  const order = { identityId: randomIdentityId(), version: 1, epoch: 1, value };
  const store = storeWith(key);
  await store.stage(order);
  await store.promote(order);
  return order;
}

function keyFile(content: string, mode = 0o600): string {
  const path = join(directory, randomBytes(6).toString('hex'));
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

test('the database holds neither the value nor the key, and two envelopes of one value differ', async () => {
  const key = newKey();
  const first = await promoted(key, 'the same value');
  await promoted(key, 'the same value');
  const rows = await prisma.sealedValue.findMany();
  const envelopes = rows.map(({ envelope }) => Buffer.from(envelope ?? []).toString('base64'));
  expect(new Set(envelopes).size).toBe(envelopes.length);
  expect(envelopes.some((envelope) => Buffer.from(envelope, 'base64').includes(first.value))).toBe(false);
});

test.each([
  ['another identity', `UPDATE sealed_value SET "identityId" = 'other' || "identityId"`],
  ['another version', 'UPDATE sealed_value SET version = version + 1'],
  ['another epoch', 'UPDATE sealed_value SET epoch = epoch + 1'],
  ['the live path', `UPDATE sealed_value SET path = 'live', version = 1, epoch = 1`],
  ['a changed bit', 'UPDATE sealed_value SET envelope = set_byte(envelope, 14, get_byte(envelope, 14) # 1)'],
  ['a cut envelope', `UPDATE sealed_value SET envelope = '\\x00'`],
])('a value that somebody moved to %s in the database is not served', async (place, update) => {
  const key = newKey();
  const order = await promoted(key);
  const isStaged = place === 'the live path';
  await prisma.sealedValue.deleteMany({
    where: { identityId: order.identityId, path: isStaged ? 'live' : 'staged/1' },
  });
  await prisma.$executeRawUnsafe(`${update} WHERE "identityId" = $1`, order.identityId);
  const identityId = place === 'another identity' ? `other${order.identityId}` : order.identityId;
  const error = await rejectionOf(storeWith(key).read({ identityId }));
  expect(error.name).toBe('StoreRefused');
  expect(error.message).toMatch(/does not open.*altered/);
});

test('a value under a key that is not configured is refused by that key id, and the next epoch still takes its place', async () => {
  const [lost, present] = [newKey(), newKey()];
  const order = await promoted(lost);
  const store = storeWith(present);
  expect((await rejectionOf(store.read(order))).message).toContain(lost.id);
  await store.stage({ ...order, version: 2 });
  await store.promote({ ...order, version: 2, epoch: 2 });
  expect(await store.read(order)).toMatchObject({ version: 2, value: order.value });
});

test('several keys read and one writes', async () => {
  const [old, current] = [newKey(), newKey()];
  const order = await promoted(old);
  const store = storeWith(current, old);
  expect(await store.read(order)).toMatchObject({ value: order.value });
  await store.promote({ ...order, epoch: 2 });
  expect(await storeWith(current).read(order)).toMatchObject({ value: order.value });
});

test('after rekeying the previous keys are needed no more, and what needs another key is counted', async () => {
  await prisma.sealedValue.deleteMany();
  const [old, older, current, unknown] = [newKey(), newKey(), newKey(), newKey()];
  const orders = await Promise.all([promoted(old), promoted(older), promoted(current)]);
  const tombstone = await promoted(old);
  await storeWith(old).quarantine({ ...tombstone, epoch: 2 });
  await storeWith(old).discard(tombstone);
  await promoted(unknown);
  const keys = sealedKeys(current, [old, older]);
  expect(await rekeySealedValues(prisma, keys)).toBe(4);
  expect(await rekeySealedValues(prisma, keys)).toBe(0);
  for (const order of orders) {
    expect(await storeWith(current).read(order)).toMatchObject({ value: order.value });
    expect(await storeWith(current).readStaged(order)).toBe(order.value);
  }
  expect(await storeWith(current).read(tombstone)).toEqual({ kind: 'tombstone', epoch: 2 });
  expect(await valuesUnderUnknownKeys(prisma, [keys])).toEqual([{ keyId: unknown.id, count: 2 }]);
});

test('rekeying beside promotes and quarantines loses none of them', async () => {
  const [old, current] = [newKey(), newKey()];
  const orders = await Promise.all(Array.from({ length: 20 }, () => promoted(old)));
  // As everywhere in a rolling change of keys: each process reads the coming key before any writes it.
  const writer = storeWith(old, current);
  const keys = sealedKeys(current, [old]);
  await Promise.all([
    rekeySealedValues(prisma, keys),
    ...orders.map((order, index) =>
      index % 2 ? writer.quarantine({ ...order, epoch: 2 }) : writer.promote({ ...order, epoch: 2 }),
    ),
  ]);
  await rekeySealedValues(prisma, keys);
  const kinds = await Promise.all(orders.map(async (order) => storeWith(current).read(order)));
  expect(kinds.map((live) => [live?.kind, live?.epoch])).toEqual(
    orders.map((_, index) => [index % 2 ? 'tombstone' : 'value', 2]),
  );
});

test('a rekey stops at a value that does not open, and says which', async () => {
  const [old, current] = [newKey(), newKey()];
  const order = await promoted(old);
  await prisma.$executeRaw`UPDATE sealed_value SET envelope = '\\x00' WHERE "identityId" = ${order.identityId} AND path = 'live'`;
  const error = await rejectionOf(rekeySealedValues(prisma, sealedKeys(current, [old])));
  expect(error.message).toContain(order.identityId);
  await prisma.sealedValue.deleteMany({ where: { identityId: order.identityId } });
});

test('keys come from a private file or from the environment, in base64 or hexadecimal', () => {
  const bytes = randomBytes(32);
  const [base64, hex] = [bytes.toString('base64'), bytes.toString('hex')];
  const inFile = loadSealedKeys({ keyFile: keyFile(`${base64}\n`), previousKeyFiles: [] }, {});
  const inVariable = loadSealedKeys({ keyEnv: 'SEALED_KEY', previousKeyFiles: [] }, { SEALED_KEY: hex });
  expect(inFile.writing.id).toBe(inVariable.writing.id);
  const other = keyFile(randomBytes(32).toString('hex'));
  expect([...loadSealedKeys({ keyFile: keyFile(hex), previousKeyFiles: [other] }, {}).reading.keys()]).toHaveLength(2);
});

test.each(['', 'short', randomBytes(31).toString('base64'), `${randomBytes(32).toString('base64')}!`, 'z'.repeat(64)])(
  'what is not a key (%j) is refused without being shown',
  (content) => {
    const path = keyFile(content);
    const load = () => loadSealedKeys({ keyFile: path, previousKeyFiles: [] }, {});
    expect(load).toThrow(
      `${path} does not hold 32 bytes in base64 or hexadecimal. Make a key with "openssl rand -base64 32".`,
    );
  },
);

test('a key file that others may read, a missing one and an unset variable are refused by name', () => {
  const key = randomBytes(32).toString('base64');
  const open = keyFile(key, 0o640);
  expect(() => loadSealedKeys({ keyFile: open, previousKeyFiles: [] }, {})).toThrow(/mode 640.*chmod 600/);
  expect(() => loadSealedKeys({ keyFile: keyFile(key), previousKeyFiles: [open] }, {})).toThrow(/chmod 600/);
  expect(() => loadSealedKeys({ keyFile: join(directory, 'missing'), previousKeyFiles: [] }, {})).toThrow(
    /missing.*ENOENT/,
  );
  expect(() => loadSealedKeys({ keyEnv: 'UNSET_KEY', previousKeyFiles: [] }, {})).toThrow(/UNSET_KEY/);
  expect(() => loadSealedKeys({ previousKeyFiles: [] }, {})).toThrow(/keyFile or keyEnv/);
});
