import { PrismaPg } from '@prisma/adapter-pg';
import type pg from 'pg';
import { expect, test } from 'vitest';
import { appendEvidence } from '../../ledger/evidence.ts';
import { verifyChains } from '../../ledger/evidenceVerification.ts';
import { sealOnce } from '../../ledger/sealer.ts';
import { PrismaClient } from '../../prisma/generated/client.ts';
import { draftOf, evidenceFixture } from './evidenceFixture.ts';

test('20 transactions at once, on one chain and on their own, each add their entries once, in unbroken chains', async () => {
  const { ledger, keys, append } = await evidenceFixture();
  await Promise.all(
    Array.from({ length: 20 }, (_, serial) =>
      append(
        { chain: 'request/shared', requestId: 'shared', data: { serial } },
        { chain: `request/own-${serial}` },
        { chain: 'request/shared', requestId: 'shared', data: { serial } },
      ),
    ),
  );
  expect(await verifyChains(ledger, keys)).toEqual({ ok: true, entries: 60, chains: 21, sealed: 0 });
  const shared = await ledger.evidenceEntry.findMany({ where: { requestId: 'shared' }, orderBy: { position: 'asc' } });
  expect(shared.map(({ position }) => position)).toEqual(Array.from({ length: 40 }, (_, place) => place));
});

test('transactions that name the same chains in opposite orders never lock each other out', async () => {
  const { ledger, keys, append } = await evidenceFixture();
  const chains = ['identity/a', 'identity/b', 'identity/c'].map((chain) => ({ chain }));
  await Promise.all(
    Array.from({ length: 40 }, (_, serial) => append(...(serial % 2 === 0 ? chains : chains.toReversed()))),
  );
  expect(await verifyChains(ledger, keys)).toEqual({ ok: true, entries: 120, chains: 3, sealed: 0 });
});

test('entries commit with the change that they tell of, or not at all', async () => {
  const { ledger, keys, append } = await evidenceFixture();
  await append({});
  const change = ledger.$transaction(async (tx) => {
    await appendEvidence(tx, keys, [draftOf(), draftOf()]);
    throw new Error('the change failed');
  });
  await expect(change).rejects.toThrow('the change failed');
  await append({});
  expect(await verifyChains(ledger, keys)).toEqual({ ok: true, entries: 2, chains: 1, sealed: 0 });
});

test('drafts of one transaction keep their order, in positions and in ids', async () => {
  const { ledger, append } = await evidenceFixture();
  await append(...Array.from({ length: 30 }, (_, serial) => ({ chain: `request/${serial % 3}`, data: { serial } })));
  const rows = await ledger.evidenceEntry.findMany({ orderBy: { id: 'asc' } });
  expect(rows.map(({ body }) => JSON.parse(body).data.serial)).toEqual(
    Array.from({ length: 30 }, (_, serial) => serial),
  );
  expect(rows.map(({ position }) => position)).toEqual(
    Array.from({ length: 30 }, (_, serial) => Math.floor(serial / 3)),
  );
});

test('however many drafts, it costs two statements: it is on every hot path', async () => {
  const { keys, databaseUrl } = await evidenceFixture();
  const ledger = new PrismaClient({
    adapter: new PrismaPg({ connectionString: databaseUrl }),
    log: [{ emit: 'event', level: 'query' }],
  });
  const statements: string[] = [];
  ledger.$on('query', ({ query }) => statements.push(query));
  await ledger.$transaction(async (tx) => {
    statements.length = 0;
    await appendEvidence(tx, keys, [draftOf(), draftOf({ chain: 'identity/i1' }), draftOf()]);
    expect(statements).toHaveLength(2);
    await appendEvidence(tx, keys, []);
    expect(statements).toHaveLength(2);
  });
  await ledger.$disconnect();
});

test('a person is stored under a pseudonym only', async () => {
  const { ledger, append } = await evidenceFixture();
  await append({ actor: 'alice@example.test', data: { owner: 'bob@example.test', reason: 'bob@example.test asked' } });
  const row = await ledger.evidenceEntry.findFirstOrThrow();
  expect(row.body).not.toMatch(/alice|bob|example\.test"/);
});

test('what JSON cannot carry rolls the whole change back', async () => {
  const { ledger, append } = await evidenceFixture();
  const data = { at: undefined } as never;
  await expect(append({}, { data })).rejects.toThrow(/\$\.data\.at is undefined/);
  expect(await ledger.evidenceEntry.count()).toBe(0);
});

test('a transaction on another chain does not wait for one that holds a chain open', async () => {
  const { ledger, keys, append } = await evidenceFixture();
  await ledger.$transaction(async (tx) => {
    await appendEvidence(tx, keys, [draftOf({ chain: 'request/slow' })]);
    await append({ chain: 'request/quick' });
  });
  expect(await verifyChains(ledger, keys)).toMatchObject({ ok: true, chains: 2 });
});

test.for([
  ['UPDATE "evidence_entry" SET "body" = \'{}\''],
  ['UPDATE "evidence_entry" SET "mac" = decode(repeat(\'00\', 32), \'hex\')'],
  ['UPDATE "evidence_entry" SET "leafIndex" = NULL WHERE "leafIndex" IS NOT NULL'],
  ['UPDATE "evidence_entry" SET "leafIndex" = 7 WHERE "leafIndex" IS NOT NULL'],
  ['UPDATE "evidence_entry" SET "leafIndex" = 7, "body" = \'{}\' WHERE "leafIndex" IS NULL'],
  ['UPDATE "evidence_entry" SET "requestId" = \'another\''],
  ['UPDATE "evidence_entry" SET "position" = "position" + 100'],
  ['DELETE FROM "evidence_entry"'],
  ['TRUNCATE "evidence_entry"'],
  ['SET session_replication_role = replica; DELETE FROM "evidence_entry"'],
  ['SET session_replication_role = replica; UPDATE "evidence_entry" SET "body" = \'{}\''],
  [
    'INSERT INTO "evidence_entry" ("chain", "position", "body", "mac", "leafIndex") VALUES (\'x\', 0, \'{}\', decode(repeat(\'00\', 32), \'hex\'), 9)',
  ],
  [
    'INSERT INTO "evidence_entry" ("chain", "position", "body", "mac") VALUES (\'x\', 0, E\'{\\n}\', decode(repeat(\'00\', 32), \'hex\'))',
  ],
  ['INSERT INTO "evidence_entry" ("chain", "position", "body", "mac") VALUES (\'x\', 0, \'{}\', \'\')'],
  [
    'INSERT INTO "evidence_entry" ("chain", "position", "body", "mac") VALUES (\'request/r1\', 0, \'{}\', decode(repeat(\'00\', 32), \'hex\'))',
  ],
  ['UPDATE "evidence_node" SET "hash" = \'\''],
  ['DELETE FROM "evidence_node"'],
  ['TRUNCATE "evidence_node"'],
  ['UPDATE "evidence_checkpoint" SET "note" = \'\''],
  ['DELETE FROM "evidence_checkpoint"'],
  ['TRUNCATE "evidence_checkpoint"'],
] as const)("the tables' own owner is refused: %s", async ([statement]) => {
  const { connect, append, keys, direct, headFile } = await evidenceFixture();
  await append({});
  await sealOnce({ direct, keys, headFile });
  await append({});
  const before = await contents(await connect());
  await expect((await connect()).query(statement)).rejects.toMatchObject({
    code: expect.stringMatching(/^23(514|505)$/),
  });
  expect(await contents(await connect())).toEqual(before);
});

async function contents(client: pg.Client): Promise<unknown> {
  const { rows } = await client.query(`
    SELECT (SELECT json_agg(e ORDER BY "id") FROM "evidence_entry" e) AS entries,
      (SELECT json_agg(n ORDER BY "level", "index") FROM "evidence_node" n) AS nodes,
      (SELECT json_agg(c ORDER BY "size") FROM "evidence_checkpoint" c) AS checkpoints`);
  return rows;
}
