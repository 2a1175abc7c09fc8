import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { KeysUnusable } from '../../configuration/keyFiles.ts';
import { type Keys, loadKeys } from '../../configuration/keys.ts';
import { appendEvidence } from '../../ledger/evidence.ts';
import { type KeyName, keyNames, keysToMake } from '../../ledger/installationKeys.ts';
import { type OpenedLedger, openLedger } from '../../ledger/openLedger.ts';
import { sealOnce } from '../../ledger/sealer.ts';
import { freshDatabase } from '../setup/database.ts';

const directory = mkdtempSync(join(tmpdir(), 'tenure-bound-'));
let database: Awaited<ReturnType<typeof freshDatabase>>;
let keys: Keys;
let others: Keys;
let ledger: OpenedLedger;

const open = (held: Keys) =>
  openLedger({ databaseUrl: database.url, host: 'tenure.test', leaseMs: 60_000, poolSize: 2, keys: held });

beforeAll(async () => {
  database = await freshDatabase();
  keys = loadKeys(join(directory, 'keys'), await keysToMake(database.url));
  others = loadKeys(join(directory, 'others'), { create: true });
  ledger = await open(keys);
  await ledger.prisma.$transaction((tx) =>
    appendEvidence(tx, ledger.evidence, [
      { chain: 'installation', kind: 'drill.held', actor: 'system:test', at: new Date(), data: {} },
    ]),
  );
  await sealOnce({ direct: ledger.direct, keys: ledger.evidence, headFile: join(directory, 'head') });
});
afterAll(async () => {
  await ledger.close();
  await database.drop();
  rmSync(directory, { recursive: true, force: true });
});

/** The keys of this installation, but for one. */
const replaced: Readonly<Record<KeyName, () => Keys>> = {
  'evidence-mac': () => ({ ...keys, evidenceMac: others.evidenceMac }),
  'evidence-signing': () => ({ ...keys, evidenceSigning: others.evidenceSigning }),
  'person-pseudonym': () => ({ ...keys, personPseudonym: others.personPseudonym }),
  fingerprint: () => ({ ...keys, fingerprint: others.fingerprint }),
  'decision-signing': () => ({ ...keys, decisionSigning: others.decisionSigning }),
  'payload-codec': () => ({ ...keys, payload: others.payload }),
};

test('a process with an empty key directory beside a ledger in use makes no keys, and says where they are', async () => {
  const empty = join(directory, 'empty');
  const make = await keysToMake(database.url);
  expect(make).toEqual({ create: false, createPayloadKey: false });
  expect(() => loadKeys(empty, make)).toThrow(KeysUnusable);
  expect(() => loadKeys(empty, make)).toThrow(/Copy the key directory of a process that runs/);
  expect(existsSync(empty)).toBe(false);
});

test('a lost payload key is not made anew beside a ledger that knows its keys', async () => {
  const lost = join(directory, 'lost');
  loadKeys(lost, { create: true });
  renameSync(join(lost, 'payload-codec.key'), join(lost, 'elsewhere'));
  const make = await keysToMake(database.url);
  expect(() => loadKeys(lost, make)).toThrow(/lacks payload-codec\.key/);
});

test.for([...keyNames])('a process whose %s key is another does not start and writes nothing', async (name) => {
  const before = await ledger.prisma.evidenceEntry.count();
  await expect(open(replaced[name]())).rejects.toThrow(
    `The key ${name} in this process's key directory is none of this ledger's`,
  );
  expect(await ledger.prisma.evidenceEntry.count()).toBe(before);
  await (await open(keys)).close();
});

test.for(['evidence-mac', 'evidence-signing'] as const)(
  'a ledger from before its keys were recorded binds no %s key that does not fit what is in it',
  async (name) => {
    await ledger.prisma.installationKey.deleteMany();
    await expect(open(replaced[name]())).rejects.toThrow(/none of this ledger's/);
    expect(await ledger.prisma.installationKey.count()).toBe(0);
    await (await open(keys)).close();
    expect(await ledger.prisma.installationKey.count()).toBe(keyNames.length);
  },
);

test('of processes that start at once with keys of their own on an empty ledger, those of one are bound and the rest refused', async () => {
  const own = await freshDatabase();
  const starts = await Promise.allSettled(
    [keys, others].map((held) =>
      openLedger({ databaseUrl: own.url, host: 'tenure.test', leaseMs: 60_000, poolSize: 2, keys: held }),
    ),
  );
  expect(starts.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  for (const start of starts) if (start.status === 'fulfilled') await start.value.close();
  await own.drop();
});

test('a key that every process can read first may then write: the others go on', async () => {
  const next = {
    ...keys,
    decisionVerifying: new Map([...keys.decisionVerifying, ...others.decisionVerifying]),
    payload: { writing: keys.payload.writing, reading: new Map([...keys.payload.reading, ...others.payload.reading]) },
  };
  await (await open(next)).close();
  const switched = {
    ...next,
    decisionSigning: others.decisionSigning,
    payload: { writing: others.payload.writing, reading: next.payload.reading },
  };
  await (await open(switched)).close();
  await (await open(next)).close();
});
