import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { OpenOrder } from '../../contracts/open.ts';
import type { Ledger } from '../../ledger/client.ts';
import { type ByHand, byHand } from '../setup/byHand.ts';
import { eventually } from '../setup/eventually.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { onboardingOrder, openOrder, subject } from '../setup/orders.ts';
import { approvedFlow, plainFlows } from './flows.ts';

/** While true, every transaction that the worker begins fails as one does whose database cannot be reached. */
let isLedgerAway = false;

let installation: TestInstallation;
let hand: ByHand;
let stopWorker: () => Promise<void>;

beforeAll(async () => {
  // An onboarding of 'legacy' is never covered: two flows fit it equally well.
  const ambiguous = approvedFlow('onboarding', { environment: 'legacy' });
  installation = await testInstallation({
    flows: [...plainFlows, ambiguous, ambiguous.replace('onboarding-legacy', 'onboarding-legacy-too')],
    wrapLedger: (ledger) => ({ ...ledger, direct: sometimesAway(ledger.direct) }),
  });
  hand = byHand(installation);
  stopWorker = await installation.startWorker();
});
afterAll(async () => {
  await stopWorker?.();
  await installation?.close();
});

function sometimesAway(direct: Ledger['direct']): Ledger['direct'] {
  return {
    ...direct,
    transaction: (opening, work) =>
      isLedgerAway ? Promise.reject(new Error('connection refused')) : direct.transaction(opening, work),
  };
}

const stateOf = async (requestId: string) =>
  (await installation.ledger.prisma.request.findUniqueOrThrow({ where: { id: requestId } })).state;

/** Of every table: how many rows it has. */
async function rowCounts(): Promise<Record<string, number>> {
  const { prisma } = installation.ledger;
  const tables = await prisma.$queryRaw<{ name: string }[]>`
    SELECT tablename AS "name" FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename`;
  const counts: Record<string, number> = {};
  for (const { name } of tables) {
    const [row] = await prisma.$queryRawUnsafe<{ count: bigint }[]>(`SELECT count(*) FROM "${name}"`);
    counts[name] = Number(row?.count);
  }
  return counts;
}

test('ten attempts at once with one key open one request, and each of them is told of it', async () => {
  const order = onboardingOrder();
  const results = await Promise.all(Array.from({ length: 10 }, () => installation.gateway.open(order)));
  for (const result of results) expect(result).toMatchObject({ opened: true, requestId: order.requestId });
  await eventually(async () => expect(await stateOf(order.requestId)).toBe('completed'));
  const { prisma } = installation.ledger;
  expect(await prisma.request.count({ where: { identityId: order.identityId } })).toBe(1);
  expect(await prisma.credential.count({ where: { identityId: order.identityId } })).toBe(1);
});

test('a repeated open finds its request also after it closed, and nothing happens a second time', async () => {
  const order = onboardingOrder();
  await installation.gateway.open(order);
  await eventually(async () => expect(await stateOf(order.requestId)).toBe('completed'));
  const before = await rowCounts();
  expect(await installation.gateway.open(order)).toMatchObject({
    opened: true,
    requestId: order.requestId,
    created: false,
    plan: { state: 'completed', done: true },
  });
  expect(await rowCounts()).toEqual(before);
});

test('the same key with another body is refused, whatever became of the first request, and the refusal writes nothing', async () => {
  const order = onboardingOrder();
  await installation.gateway.open(order);
  await eventually(async () => expect(await stateOf(order.requestId)).toBe('completed'));
  const before = await rowCounts();
  const other: OpenOrder = { ...order, bodyDigest: 'b'.repeat(64), subject: subject() };
  expect(await installation.gateway.open(other)).toMatchObject({ opened: false, slug: 'key-reused' });
  expect(await rowCounts()).toEqual(before);
});

test('a refused open writes nothing, and its key stays free for the corrected call', async () => {
  const first = onboardingOrder({ name: 'orders reader' });
  await installation.gateway.open(first);
  await eventually(async () => expect(await stateOf(first.requestId)).toBe('completed'));
  const before = await rowCounts();

  const lookAlike = onboardingOrder({ name: 'Orders Reader' });
  const refusals: readonly (readonly [OpenOrder, string])[] = [
    [lookAlike, 'name-taken'],
    [onboardingOrder({ name: 'оrders reader' }), 'invalid-request'],
    [onboardingOrder({ ownerId: 'nobody@tenure.example' }), 'owner-not-valid'],
    [onboardingOrder({ environment: 'legacy' }), 'ambiguous-flow'],
    [openOrder('onboarding'), 'invalid-request'],
    [openOrder('rotation', { identityId: 'a'.repeat(26) }), 'not-found'],
    [openOrder('revocation', { identityId: 'a'.repeat(26) }), 'not-found'],
  ];
  for (const [order, slug] of refusals) expect(await hand.tryToOpen(order)).toMatchObject({ opened: false, slug });
  expect(await rowCounts()).toEqual(before);

  const { subject: _, ...rest } = lookAlike;
  expect(await hand.tryToOpen({ ...rest, subject: subject(), bodyDigest: 'c'.repeat(64) })).toMatchObject({
    opened: true,
    created: true,
  });
});

test('an open that failed while the ledger was away succeeds with the same key once the ledger is back', async () => {
  const order = onboardingOrder();
  isLedgerAway = true;
  try {
    // Temporal keeps this failure under its update's id; the next attempt must not be given it.
    await expect(installation.gateway.open(order)).rejects.toThrow();
  } finally {
    isLedgerAway = false;
  }
  expect(await installation.gateway.open(order)).toMatchObject({ opened: true, requestId: order.requestId });
  await eventually(async () => expect(await stateOf(order.requestId)).toBe('completed'));
});

test('an open that could not get through in time says so, and whether or not it commits later there is one request', async () => {
  const order = onboardingOrder();
  const blocker = new pg.Client({ connectionString: installation.databaseUrl });
  await blocker.connect();
  await blocker.query('BEGIN');
  await blocker.query('LOCK TABLE "idempotent_call" IN ACCESS EXCLUSIVE MODE');
  await expect(installation.gateway.open(order)).rejects.toThrow();
  await blocker.query('ROLLBACK');
  await blocker.end();
  expect(await installation.gateway.open(order)).toMatchObject({ opened: true, requestId: order.requestId });
  await eventually(async () => expect(await stateOf(order.requestId)).toBe('completed'));
  expect(await installation.ledger.prisma.request.count({ where: { identityId: order.identityId } })).toBe(1);
});

test('two principals may use the same key for their own calls', async () => {
  const idempotencyKey = randomUUID();
  const one = onboardingOrder({}, { principal: 'requester@tenure.example', idempotencyKey });
  const other = onboardingOrder({}, { principal: 'owner@tenure.example', idempotencyKey });
  expect(one.requestId).not.toBe(other.requestId);
  expect(await hand.tryToOpen(one)).toMatchObject({ opened: true, created: true });
  expect(await hand.tryToOpen(other)).toMatchObject({ opened: true, created: true });
});
