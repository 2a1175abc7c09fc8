import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Plan } from '../../contracts/plan.ts';
import { freezeLock, issuingTransaction } from '../../ledger/client.ts';
import { openFreeze } from '../../ledger/freezes.ts';
import { revokeNow } from '../../ledger/revoke.ts';
import { type ByHand, byHand } from '../setup/byHand.ts';
import { eventually } from '../setup/eventually.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { onboardingOrder, openOrder } from '../setup/orders.ts';
import { repeated } from '../setup/repeated.ts';
import { plainFlows } from './flows.ts';

/** Real transactions against one another, many times: what was begun or committed after a freeze or a revocation would show. */

let installation: TestInstallation;
let hand: ByHand;

beforeAll(async () => {
  installation = await testInstallation({ flows: plainFlows });
  hand = byHand(installation);
});
afterAll(() => installation.close());

const responder = 'responder@tenure.example';
const rounds = 8;
const perRound = 4;

const times = <T>(count: number, make: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => make(index)));

/** An identity with one committed credential; the issuer is not asked, since only the ledger is raced here. */
async function active(integration: string): Promise<string> {
  const order = onboardingOrder({ integration });
  const onboarding = await hand.open(order);
  await created(onboarding);
  const { requestId } = onboarding;
  const promote = await hand.orderOf(requestId, 'promote');
  await hand.report(requestId, promote, { ok: true, result: { outcome: 'served' } });
  return order.identityId;
}

/** The create of this plan has succeeded: `commit` is next. */
function created({ requestId, plan }: { requestId: string; plan: Plan }): Promise<unknown> {
  const order = plan.effects.find(({ activity }) => activity === 'create');
  if (order === undefined) throw new Error(`request ${requestId} does not plan create: ${plan.summary}`);
  return hand.report(requestId, order, { ok: true, result: { fingerprint: 'f'.repeat(32) } });
}

function onboarding(integration: string) {
  return hand.open(onboardingOrder({ integration }));
}

function freezeOf(integration: string) {
  const order = {
    id: randomUUID(),
    identityIds: [],
    integrations: [integration],
    reason: 'incident',
    by: responder,
  };
  return repeated(() => openFreeze(installation.ledger, order));
}

function revocationOf(identityId: string) {
  const order = openOrder('revocation', { identityId, principal: responder, trigger: 'incident' });
  return repeated(() => revokeNow(installation.ledger, { ...order, kind: 'revocation' }));
}

test('whatever raced a freeze: nothing was begun or committed after it', async () => {
  const { prisma } = installation.ledger;
  for (let round = 0; round < rounds; round += 1) {
    const integration = `raced-${randomUUID()}`;
    const [toBegin, toCommit] = await Promise.all([
      times(perRound, () => active(integration)),
      times(perRound, () => onboarding(integration)),
    ]);
    const begin = (identityId: string) => hand.tryToOpen(openOrder('rotation', { identityId }));
    // Each round the freeze sets out a little later.
    const early = round % (perRound + 1);
    const ahead = [...toBegin.slice(0, early).map(begin), ...toCommit.slice(0, early).map(created)];
    const [freeze] = await Promise.all([
      freezeOf(integration),
      ...ahead,
      ...toBegin.slice(early).map(begin),
      ...toCommit.slice(early).map(created),
    ]);
    const credentials = await prisma.credential.findMany({ where: { identity: { integration } } });
    for (const { handle, createdAt, committedAt } of credentials) {
      expect(createdAt <= freeze.createdAt, `${handle} was begun after the freeze`).toBe(true);
      if (committedAt !== null)
        expect(committedAt <= freeze.createdAt, `${handle} was committed after the freeze`).toBe(true);
    }
    const open = await prisma.request.findMany({ where: { identity: { integration }, finishedAt: null } });
    for (const { id } of open) await hand.planOf(id);
    const mints = await prisma.credential.count({
      where: { identity: { integration }, state: { in: ['minting', 'staged'] } },
    });
    expect(mints, 'an uncommitted mint is destroyed, never held').toBe(0);
  }
}, 120_000);

test('whatever raced a revocation: under a revoking identity nothing is minting, current or open but the revocation', async () => {
  const { prisma } = installation.ledger;
  for (let round = 0; round < rounds; round += 1) {
    const integration = `raced-${randomUUID()}`;
    const [rotated, committing] = await Promise.all([
      times(perRound, () => active(integration)),
      times(perRound, () => onboarding(integration)),
    ]);
    const identityIds = [...rotated, ...committing.map(({ identityId }) => identityId)];
    const [begun, , revoked] = await Promise.all([
      Promise.all(rotated.map((identityId) => hand.tryToOpen(openOrder('rotation', { identityId })))),
      Promise.all(committing.map(created)),
      Promise.all(identityIds.map(revocationOf)),
    ]);
    for (const revocation of revoked) expect(revocation).toMatchObject({ opened: true });
    for (const result of begun) if (!result.opened) expect(['revoking', 'request-running']).toContain(result.slug);
    const identities = await prisma.identity.findMany({
      where: { integration },
      include: { credentials: true, requests: { where: { finishedAt: null } } },
    });
    for (const { id, state, credentials, requests } of identities) {
      expect(['revoking', 'rejected'], `identity ${id}`).toContain(state);
      expect(new Set(credentials.map((credential) => credential.state)), `identity ${id}`).toEqual(
        new Set(['destroying']),
      );
      expect(
        requests.map(({ kind }) => kind),
        `identity ${id}`,
      ).toEqual(['revocation']);
    }
  }
}, 120_000);

test('a freeze commits although a transaction that holds the shared lock has stopped, and what that one did is undone', async () => {
  const { ledger } = installation;
  const integration = `stopped-${randomUUID()}`;
  const identityId = await active(integration);
  const stopped = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  // A commit that stands still between its read of the freezes and its own end, as a process does that was suspended.
  const holder = issuingTransaction(ledger, async (tx) => {
    await tx.$executeRaw`UPDATE "identity" SET "epoch" = "epoch" + 1 WHERE "id" = ${identityId}`;
    stopped.resolve();
    await goOn.promise;
  });
  const ended = expect(holder).rejects.toThrow();
  await stopped.promise;
  await freezeOf(integration);
  goOn.resolve();
  await ended;
  expect(await ledger.prisma.identity.findUniqueOrThrow({ where: { id: identityId } })).toMatchObject({ epoch: 1 });
  expect((await hand.open(openOrder('rotation', { identityId }))).plan.state).toBe('held');
});

test('a freeze commits although a foreign session sits on the shared lock', async () => {
  const session = new pg.Client({ connectionString: installation.databaseUrl });
  // It is ended from outside; that is the point.
  session.on('error', () => undefined);
  await session.connect();
  await session.query('BEGIN');
  await session.query('SELECT pg_advisory_xact_lock_shared($1)', [String(freezeLock)]);
  const integration = `foreign-${randomUUID()}`;
  expect((await freezeOf(integration)).integrations).toEqual([integration]);
  await expect(session.query('SELECT 1')).rejects.toThrow();
});

test('a transaction that may issue and stands still is ended by PostgreSQL itself', async () => {
  const { ledger } = installation;
  const goOn = Promise.withResolvers<void>();
  const pids: number[] = [];
  const holder = issuingTransaction(ledger, async (tx) => {
    const [row] = await tx.$queryRaw<{ pid: number }[]>`SELECT pg_backend_pid() AS "pid"`;
    if (row !== undefined) pids.push(row.pid);
    await goOn.promise;
  });
  const ended = expect(holder).rejects.toThrow();
  await eventually(async () => expect(pids).toHaveLength(1));
  await eventually(async () => {
    const [held] = await ledger.prisma.$queryRaw<{ count: bigint }[]>`
      SELECT count(*) AS "count" FROM pg_stat_activity WHERE "pid" = ${pids[0]}`;
    expect(Number(held?.count)).toBe(0);
  });
  goOn.resolve();
  await ended;
});

test('a nudge changes nothing by itself, however often it comes', async () => {
  const { requestId, identityId } = await hand.open(onboardingOrder());
  const before = await installation.ledger.prisma.request.findUniqueOrThrow({ where: { id: requestId } });
  await times(10, () => hand.planOf(requestId));
  expect(await installation.ledger.prisma.request.findUniqueOrThrow({ where: { id: requestId } })).toEqual(before);
  expect(await hand.credentialsOf(identityId)).toBe('v1 minting');
});
