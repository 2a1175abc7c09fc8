import pg from 'pg';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openPrisma } from '../../ledger/client.ts';
import { openRequestStates } from '../../ledger/queries/operatingFigures.ts';
import { ledgerMetrics } from '../../observability/ledgerMetrics.ts';
import { insertCredential, insertIdentity, insertRequest } from '../ledger/rows.ts';
import { type FreshDatabase, freshDatabase } from '../setup/database.ts';
import { samplesOf } from './samples.ts';

let database: FreshDatabase;
let client: pg.Client;
let prisma: ReturnType<typeof openPrisma>;
let registry: Registry;
let errors: unknown[];
let refresh: () => Promise<void>;

beforeEach(async () => {
  database = await freshDatabase();
  client = new pg.Client({ connectionString: database.url });
  client.on('error', () => undefined);
  await client.connect();
  prisma = openPrisma({ databaseUrl: database.url, poolSize: 2 });
  registry = new Registry();
  errors = [];
  refresh = ledgerMetrics({
    ledger: { prisma },
    registry,
    onError: (error) => errors.push(error),
    cacheMs: 0,
    settleMs: 0,
  });
});
afterEach(async () => {
  await client.end().catch(() => undefined);
  await prisma.$disconnect();
  await database.drop();
});

async function scrape() {
  await refresh();
  const samples = samplesOf(await registry.metrics());
  return (name: string, labels: Record<string, string> = {}): number | undefined =>
    samples.find(
      (sample) =>
        sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
    )?.value;
}

/** Ends the request at the ledger's present instant, as `advance` does. */
const finish = (requestId: string, state: string) =>
  client.query(`UPDATE "request" SET "state" = $2, "finishedAt" = clock_timestamp() WHERE "id" = $1`, [
    requestId,
    state,
  ]);

test('an idle installation shows every figure, each at nought', async () => {
  const figure = await scrape();
  expect(figure('tenure_ledger_up')).toBe(1);
  for (const state of openRequestStates) expect(figure('tenure_requests_open', { state }), state).toBe(0);
  for (const name of ['evidence_unsealed', 'due_work', 'outbox_undelivered', 'owed_destroys', 'freezes_in_force']) {
    expect(figure(`tenure_${name}`), name).toBe(0);
    expect(figure(`tenure_${name}_oldest_seconds`), name).toBe(0);
  }
});

test('what waits is counted with the age of the oldest', async () => {
  const old = await insertRequest(client, await insertIdentity(client), { state: 'awaiting-approval' });
  await client.query(`UPDATE "request" SET "createdAt" = now() - interval '1 hour' WHERE "id" = $1`, [old]);
  await insertRequest(client, await insertIdentity(client), { state: 'awaiting-approval' });
  await insertRequest(client, await insertIdentity(client), { state: 'stuck' });
  const owing = await insertRequest(client, await insertIdentity(client));
  await finish(owing, 'cancelled');
  await client.query(`UPDATE "request" SET "owesDestroys" = true WHERE "id" = $1`, [owing]);
  await client.query(`INSERT INTO "due_work" VALUES ('rotation', 'a', now() - interval '2 hours', 3),
    ('expiry', 'b', now() + interval '1 hour', 0)`);
  await client.query(`INSERT INTO "outbox_message" ("kind", "payload", "createdAt", "deliveredAt") VALUES
    ('nudge', '{}', now() - interval '3 hours', NULL), ('nudge', '{}', now() - interval '9 hours', now())`);
  await client.query(`INSERT INTO "evidence_entry" ("chain", "position", "body", "mac", "at") VALUES
    ('request/a', 0, '{}', decode(repeat('00', 32), 'hex'), now() - interval '4 hours')`);
  await client.query(`INSERT INTO "freeze" ("id", "identityIds", "integrations", "reason", "openedBy", "createdAt") VALUES
    ('freeze', '{a}', '{}', 'a leak', 'rui', now() - interval '5 hours')`);
  await client.query(`INSERT INTO "lifecycle_run" VALUES (1, now() - interval '6 hours')`);

  const figure = await scrape();
  const hours = (name: string, labels = {}) => Math.floor((figure(name, labels) ?? Number.NaN) / 3_600);
  expect(figure('tenure_requests_open', { state: 'awaiting-approval' })).toBe(2);
  expect(hours('tenure_requests_open_oldest_seconds', { state: 'awaiting-approval' })).toBe(1);
  expect(figure('tenure_requests_open', { state: 'stuck' })).toBe(1);
  expect(figure('tenure_owed_destroys')).toBe(1);
  expect(figure('tenure_due_work')).toBe(1);
  expect(hours('tenure_due_work_oldest_seconds')).toBe(2);
  expect(figure('tenure_outbox_undelivered')).toBe(1);
  expect(hours('tenure_outbox_undelivered_oldest_seconds')).toBe(3);
  expect(figure('tenure_evidence_unsealed')).toBe(1);
  expect(hours('tenure_evidence_unsealed_oldest_seconds')).toBe(4);
  expect(figure('tenure_freezes_in_force')).toBe(1);
  expect(hours('tenure_freezes_in_force_oldest_seconds')).toBe(5);
  expect(hours('tenure_lifecycle_last_success_seconds')).toBe(6);
});

test('what open mass revocations have still to revoke is counted by issuer, and no more once they are through', async () => {
  await client.query(`INSERT INTO "freeze" ("id", "identityIds", "integrations", "reason", "openedBy")
    VALUES ('freeze', '{a}', '{}', 'a leak', 'rui')`);
  await client.query(`INSERT INTO "mass_revocation" ("id", "freezeId", "reason", "startedBy")
    VALUES ('m', 'freeze', 'a leak', 'rui')`);
  const stuck = await insertRequest(client, await insertIdentity(client), { kind: 'revocation', state: 'stuck' });
  const running = await insertRequest(client, await insertIdentity(client), { kind: 'revocation' });
  for (const [state, requestId] of [
    ['waiting', null],
    ['waiting', null],
    ['begun', stuck],
    ['begun', running],
    ['finished', null],
  ])
    await client.query(
      `INSERT INTO "mass_revocation_subject" ("massRevocationId", "identityId", "issuer", "exposure", "state", "requestId", "finishedAt")
       VALUES ('m', $1, 'main-db', 0, $2, $3, CASE WHEN $2 = 'finished' THEN now() END)`,
      [await insertIdentity(client), state, requestId],
    );
  const figure = await scrape();
  const counted = (name: string) => figure('tenure_mass_revocation_subjects', { issuer: 'main-db', state: name });
  expect(['waiting', 'under-way', 'stuck'].map(counted)).toEqual([2, 1, 1]);
  await client.query(`UPDATE "mass_revocation_subject" SET "state" = 'finished', "finishedAt" = now()`);
  expect((await scrape())('tenure_mass_revocation_subjects')).toBeUndefined();
});

test('a lifecycle that has never run ages with the installation', async () => {
  await client.query(`INSERT INTO "installation" VALUES ('i', 'origin', now() - interval '7 hours')`);
  const figure = await scrape();
  expect(Math.floor((figure('tenure_lifecycle_last_success_seconds') ?? Number.NaN) / 3_600)).toBe(7);
});

test('each request that ends is counted once, however often is scraped, and none that ended before', async () => {
  const early = await insertRequest(client, await insertIdentity(client));
  await finish(early, 'completed');
  await scrape();
  const [rotation, revocation] = [
    await insertRequest(client, await insertIdentity(client)),
    await insertRequest(client, await insertIdentity(client), { kind: 'revocation' }),
  ];
  await finish(rotation, 'failed');
  await finish(revocation, 'completed');
  await scrape();
  await scrape();
  const figure = await scrape();
  expect(figure('tenure_requests_finished_total', { kind: 'rotation', outcome: 'failed' })).toBe(1);
  expect(figure('tenure_requests_finished_total', { kind: 'revocation', outcome: 'completed' })).toBe(1);
  expect(figure('tenure_requests_finished_total', { kind: 'rotation', outcome: 'completed' })).toBe(0);
  expect(figure('tenure_revocation_seconds_count')).toBe(1);
});

test('issuance lasts from begin to served; serving an old credential again after a rollback is none', async () => {
  const identityId = await insertIdentity(client);
  const first = await insertRequest(client, identityId);
  const old = await insertCredential(client, identityId, first, 'current');
  await finish(first, 'completed');
  const second = await insertRequest(client, identityId, { kind: 'rotation' });
  await scrape();
  // The rollback's promote, long after the request that made this credential was final.
  await client.query(`UPDATE "credential" SET "promotedAt" = clock_timestamp() WHERE "handle" = $1`, [old]);
  expect((await scrape())('tenure_issuance_seconds_count')).toBeUndefined();
  await client.query(`UPDATE "credential" SET "state" = 'retiring' WHERE "handle" = $1`, [old]);
  const fresh = await insertCredential(client, identityId, second, 'current');
  await client.query(
    `UPDATE "credential" SET "createdAt" = clock_timestamp() - interval '3 seconds', "promotedAt" = clock_timestamp() WHERE "handle" = $1`,
    [fresh],
  );
  const figure = await scrape();
  expect(figure('tenure_issuance_seconds_count', { kind: 'rotation' })).toBe(1);
  expect(figure('tenure_issuance_seconds_bucket', { kind: 'rotation', le: '2' })).toBe(0);
  expect(figure('tenure_issuance_seconds_bucket', { kind: 'rotation', le: '5' })).toBe(1);
});

test('when the ledger is away, a scrape says so, keeps no old figure, and is right again afterwards', async () => {
  await insertRequest(client, await insertIdentity(client), { state: 'stuck' });
  await scrape();
  await client.query(`ALTER TABLE "freeze" RENAME TO "freeze_away"`);
  const away = await scrape();
  expect(away('tenure_ledger_up')).toBe(0);
  expect(away('tenure_requests_open', { state: 'stuck' })).toBeUndefined();
  expect(away('tenure_evidence_unsealed')).toBeUndefined();
  expect(errors).toHaveLength(1);
  await client.query(`ALTER TABLE "freeze_away" RENAME TO "freeze"`);
  const back = await scrape();
  expect(back('tenure_ledger_up')).toBe(1);
  expect(back('tenure_requests_open', { state: 'stuck' })).toBe(1);
});

test('scrapes at the same time cost one reading', async () => {
  let readings = 0;
  const counted = prisma.$extends({
    query: {
      async $queryRaw({ args, query }) {
        readings += 1;
        return query(args);
      },
    },
  });
  const shared = ledgerMetrics({
    ledger: { prisma: counted as unknown as typeof prisma },
    registry: new Registry(),
    onError: (error) => errors.push(error),
  });
  await shared();
  const once = readings;
  readings = 0;
  await Promise.all([shared(), shared(), shared()]);
  expect(errors).toEqual([]);
  expect(readings).toBe(0);
  expect(once).toBeLessThan(12);
});
