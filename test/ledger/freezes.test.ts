import { expect, test } from 'vitest';
import { freezeLock, issuingTransaction, type Ledger } from '../../ledger/client.ts';
import { type FreezeOrder, liftFreeze, openFreeze, requestsOfFreeze } from '../../ledger/freezes.ts';
import type { Statements } from '../../ledger/statements.ts';
import { eventually } from '../setup/eventually.ts';
import { type EvidenceFixture, evidenceFixture } from './evidenceFixture.ts';
import { insertIdentity, insertRequest } from './rows.ts';

async function freezeFixture(): Promise<{ ledger: Ledger; fixture: EvidenceFixture }> {
  const fixture = await evidenceFixture();
  const ledger = {
    prisma: fixture.ledger,
    direct: fixture.direct,
    evidence: fixture.keys,
    decisionKeys: new Map(),
    leaseMs: 10_000,
  };
  return { ledger, fixture };
}

const order = (change: Partial<FreezeOrder> = {}): FreezeOrder => ({
  id: 'f1',
  identityIds: [],
  integrations: ['payments'],
  reason: 'a leaked key',
  by: 'ida',
  ...change,
});

test('a freeze is one row, its evidence and one message, in one transaction, however many subjects match', async () => {
  const { ledger, fixture } = await freezeFixture();
  const client = await fixture.connect();
  for (let subject = 0; subject < 20; subject += 1) await insertIdentity(client);
  await openFreeze(ledger, order());
  const written = await ledger.prisma.$queryRaw<{ transactions: bigint; rows: bigint }[]>`
    SELECT count(DISTINCT "writer") AS "transactions", count(*) AS "rows" FROM (
      SELECT xmin::text AS "writer" FROM "freeze" UNION ALL SELECT xmin::text FROM "evidence_entry"
      UNION ALL SELECT xmin::text FROM "outbox_message") AS "all"`;
  expect(written).toEqual([{ transactions: 1n, rows: 3n }]);
});

test('the same freeze again is the same freeze', async () => {
  const { ledger } = await freezeFixture();
  const first = await openFreeze(ledger, order());
  expect(await openFreeze(ledger, order({ reason: 'again' }))).toEqual(first);
  expect(await ledger.prisma.outboxMessage.count()).toBe(1);
  expect(await ledger.prisma.evidenceEntry.count()).toBe(1);
});

test('another responder lifts it, with a reason; the one who opened it cannot', async () => {
  const { ledger } = await freezeFixture();
  await openFreeze(ledger, order());
  expect(await liftFreeze(ledger, { id: 'f1', by: 'ida', reason: 'over' })).toMatchObject({ slug: 'second-responder' });
  expect(await liftFreeze(ledger, { id: 'f2', by: 'ian', reason: 'over' })).toMatchObject({ slug: 'not-found' });
  const lifted = await liftFreeze(ledger, { id: 'f1', by: 'ian', reason: 'keys replaced' });
  expect(lifted).toMatchObject({ lifted: true, freeze: { liftedBy: 'ian', liftReason: 'keys replaced' } });
  expect(await liftFreeze(ledger, { id: 'f1', by: 'ian', reason: 'again' })).toEqual(lifted);
  expect(await liftFreeze(ledger, { id: 'f1', by: 'iva', reason: 'me too' })).toMatchObject({ slug: 'freeze-lifted' });
  const entries = await ledger.prisma.evidenceEntry.findMany({
    where: { chain: 'freeze/f1' },
    orderBy: { position: 'asc' },
  });
  expect(entries.map(({ body }) => (JSON.parse(body) as { kind: string }).kind)).toEqual([
    'freeze.opened',
    'freeze.lifted',
  ]);
});

test('a freeze concerns the open requests of the identities and integrations it names, page by page, and no others', async () => {
  const { ledger, fixture } = await freezeFixture();
  const client = await fixture.connect();
  const named = await insertIdentity(client);
  const [, other] = [await insertIdentity(client), await insertIdentity(client)];
  await client.query(`UPDATE "identity" SET "integration" = 'mail' WHERE "id" = ANY($1)`, [[named, other]]);
  const open: string[] = [];
  for (let count = 0; count < 5; count += 1) open.push(await insertRequest(client, await insertIdentity(client)));
  open.push(await insertRequest(client, named));
  await insertRequest(client, other);
  const closed = await insertRequest(client, await insertIdentity(client), { state: 'denied' });
  await client.query(`UPDATE "request" SET "finishedAt" = now() WHERE "id" = $1`, [closed]);
  await openFreeze(ledger, order({ identityIds: [named] }));
  const found: string[] = [];
  for (let after: string | undefined = ''; after !== undefined; after = found.at(-1)) {
    const page = await requestsOfFreeze(ledger, { freezeId: 'f1', afterRequestId: after, limit: 2 });
    if (page.length === 0) break;
    expect(page.length).toBeLessThanOrEqual(2);
    found.push(...page);
  }
  expect([...found].sort()).toEqual([...open].sort());
});

test('a stopped transaction that could issue does not keep a freeze waiting: it is ended, and wrote nothing', async () => {
  const { ledger, fixture } = await freezeFixture();
  const holder = await fixture.connect();
  await holder.query('BEGIN');
  await holder.query('SELECT pg_advisory_xact_lock_shared($1)', [freezeLock.toString()]);
  const identityId = await insertIdentity(holder);
  await openFreeze(ledger, order());
  await expect(holder.query('COMMIT')).rejects.toThrow();
  expect(await ledger.prisma.identity.findUnique({ where: { id: identityId } })).toBeNull();
  expect(await ledger.prisma.freeze.count()).toBe(1);
});

test('a transaction that began before a freeze is waited for; one that begins after it sees it', async () => {
  const { ledger, fixture } = await freezeFixture();
  const watcher = await fixture.connect();
  const inside = Promise.withResolvers<void>();
  const leave = Promise.withResolvers<void>();
  const before = issuingTransaction(ledger, async (tx) => {
    const count = await freezesSeenBy(tx);
    inside.resolve();
    await leave.promise;
    return count;
  });
  await inside.promise;
  const freeze = openFreeze(ledger, order());
  await eventually(async () => {
    const { rows } = await watcher.query(
      `SELECT 1 FROM pg_stat_activity WHERE "datname" = current_database() AND "wait_event" = 'advisory'`,
    );
    expect(rows).toHaveLength(1);
  });
  leave.resolve();
  expect(await before).toBe(0);
  await freeze;
  expect(await issuingTransaction(ledger, freezesSeenBy)).toBe(1);
});

async function freezesSeenBy(tx: Statements): Promise<number> {
  return (await tx.$queryRaw<unknown[]>`SELECT FROM "freeze"`).length;
}
