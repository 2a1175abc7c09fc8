import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { acknowledge } from '../../ledger/acknowledge.ts';
import { liftFreeze, openFreeze } from '../../ledger/freezes.ts';
import { revokeNow } from '../../ledger/revoke.ts';
import { mayStillServe, recordSecretAccess } from '../../ledger/secretAccess.ts';
import { type ByHand, byHand } from '../setup/byHand.ts';
import { eventually } from '../setup/eventually.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { onboardingOrder, openOrder } from '../setup/orders.ts';
import { repeated } from '../setup/repeated.ts';
import { approvedFlows, plainFlows } from './flows.ts';

let installation: TestInstallation;
let hand: ByHand;

beforeAll(async () => {
  installation = await testInstallation({ flows: [...plainFlows, ...approvedFlows], leaseMs: 2_000 });
  hand = byHand(installation);
});
afterAll(() => installation.close());

const responder = 'responder@tenure.example';
const responder2 = 'responder-2@tenure.example';

/** Of one identity, by its id: other tests of this file go on meanwhile. */
async function freeze(identityId: string): Promise<{ readonly id: string; lift(): Promise<void> }> {
  const order = { id: randomUUID(), identityIds: [identityId], integrations: [], reason: 'incident 12', by: responder };
  await repeated(() => openFreeze(installation.ledger, order));
  return {
    id: order.id,
    lift: async () => {
      const lift = await repeated(() =>
        liftFreeze(installation.ledger, { id: order.id, by: responder2, reason: 'looked into' }),
      );
      expect(lift).toMatchObject({ lifted: true });
    },
  };
}

async function onboarded(change: Parameters<typeof onboardingOrder>[0] = {}): Promise<string> {
  const { requestId, identityId } = await hand.open(onboardingOrder(change));
  await hand.carryOutAll(requestId);
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'completed' });
  return identityId;
}

const rotate = (identityId: string) => hand.open(openOrder('rotation', { identityId }));
const served = (identityId: string) => installation.store.read({ identityId });

test.concurrent('from the commit of a freeze on nothing begins, and thaw lets it begin', async () => {
  const identityId = await onboarded();
  const frozen = await freeze(identityId);
  const { requestId, plan } = await rotate(identityId);
  expect(plan).toMatchObject({ state: 'held', effects: [] });
  expect(await hand.credentialsOf(identityId)).toBe('v1 current');
  await frozen.lift();
  await hand.carryOutAll(requestId);
  expect(await hand.credentialsOf(identityId)).toBe('v1 retiring, v2 current');
});

test.concurrent('a creation that succeeds under a freeze is not committed but destroyed, and thaw begins the next version', async () => {
  const identityId = await onboarded();
  const { requestId } = await rotate(identityId);
  const create = await hand.orderOf(requestId, 'create');
  const frozen = await freeze(identityId);
  const { plan } = await hand.report(requestId, create, await hand.perform(create));
  expect(plan).toMatchObject({ state: 'held', effects: [{ activity: 'destroy' }] });
  expect(await hand.credentialsOf(identityId)).toBe('v1 current, v2 destroying');
  await hand.carryOutAll(requestId);
  expect(await installation.issuer.list({ identityId })).toMatchObject([{ handle: `${identityId}-v1` }]);
  expect(await served(identityId)).toMatchObject({ version: 1, epoch: 1 });
  await frozen.lift();
  await hand.carryOutAll(requestId);
  expect(await served(identityId)).toMatchObject({ version: 3, epoch: 2 });
});

test.concurrent('what was committed before a freeze is still promoted under it', async () => {
  const identityId = await onboarded();
  const { requestId } = await rotate(identityId);
  await hand.carryOut(requestId, 'create');
  const frozen = await freeze(identityId);
  await hand.carryOut(requestId, 'promote');
  expect(await served(identityId)).toMatchObject({ version: 2, epoch: 2 });
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'held' });
  await frozen.lift();
});

test.concurrent('a rotation can be rolled back under a freeze, and the old credential is served again', async () => {
  const identityId = await onboarded();
  const { requestId } = await rotate(identityId);
  await hand.carryOutAll(requestId);
  await freeze(identityId);
  const rolledBack = await hand.command(requestId, { do: 'rollback', by: responder, reason: 'broken' });
  expect(rolledBack.verdict).toEqual({ accepted: true });
  await hand.carryOutAll(requestId);
  expect(await served(identityId)).toMatchObject({ version: 1, epoch: 3 });
});

test.concurrent('a freeze does not hold up a revocation', async () => {
  const identityId = await onboarded();
  await freeze(identityId);
  const { requestId } = await hand.open(openOrder('revocation', { identityId }));
  await hand.carryOutAll(requestId);
  expect(await installation.issuer.list({ identityId })).toEqual([]);
  await eventually(async () => {
    await hand.carryOutAll(requestId);
    expect(await hand.stateOf(requestId)).toMatchObject({ state: 'completed' });
  });
});

test.concurrent('a grace window does not run while a freeze or a pause holds the rotation, and never grows beyond what its flow gives', async () => {
  const identityId = await onboarded();
  const { requestId } = await rotate(identityId);
  await hand.carryOut(requestId, 'create');
  // In force before the window opens: none of its time is owed back.
  const frozen = await freeze(identityId);
  await hand.carryOut(requestId, 'promote');
  const hourMs = 3_600_000;
  expect((await hand.planOf(requestId)).timer).toBeUndefined();
  await frozen.lift();
  const given = (await hand.planOf(requestId)).timer?.delayMs ?? 0;
  expect(given).toBeLessThanOrEqual(hourMs);

  await hand.command(requestId, { do: 'pause', by: responder, reason: 'wait' });
  expect((await hand.planOf(requestId)).timer).toBeUndefined();
  await hand.command(requestId, { do: 'resume', by: responder, reason: 'go', all: false });
  expect((await hand.planOf(requestId)).timer?.delayMs).toBeLessThanOrEqual(given);
});

test.concurrent('a freeze that was opened and lifted between two steps is given back to the grace window all the same', async () => {
  const identityId = await onboarded();
  const { requestId } = await rotate(identityId);
  await hand.carryOutAll(requestId);
  const promised = Date.parse((await hand.planOf(requestId)).timer?.dueAt ?? '');
  const frozen = await freeze(identityId);
  await frozen.lift();
  const { createdAt, liftedAt } = await installation.ledger.prisma.freeze.findUniqueOrThrow({
    where: { id: frozen.id },
  });
  const heldMs = Number(liftedAt) - Number(createdAt);
  expect(heldMs).toBeGreaterThan(0);
  expect(Date.parse((await hand.planOf(requestId)).timer?.dueAt ?? '') - promised).toBe(heldMs);
});

test.concurrent('a freeze of an integration holds every identity of it, whatever is opened on them', async () => {
  const integration = `billing-${randomUUID().slice(0, 8)}`;
  const [first, second] = await Promise.all([onboarded({ integration }), onboarded({ integration })]);
  const bystander = await onboarded();
  const order = {
    id: randomUUID(),
    identityIds: [],
    integrations: [integration],
    reason: 'incident 13',
    by: responder,
  };
  await repeated(() => openFreeze(installation.ledger, order));
  for (const identityId of [first, second]) expect((await rotate(identityId)).plan.state).toBe('held');
  const late = await hand.open(onboardingOrder({ integration }));
  expect(late.plan).toMatchObject({ state: 'held', effects: [] });
  expect((await rotate(bystander)).plan.state).toBe('executing');
});

test.concurrent('a freeze is opened once however often it is asked for, and lifted by another responder only', async () => {
  const { ledger } = installation;
  const order = { id: randomUUID(), identityIds: ['x'], integrations: [], reason: 'incident 14', by: responder };
  const rows = await Promise.all(Array.from({ length: 5 }, () => repeated(() => openFreeze(ledger, order))));
  expect(new Set(rows.map(({ createdAt }) => createdAt.getTime())).size).toBe(1);
  expect(await liftFreeze(ledger, { id: order.id, by: responder, reason: 'mine' })).toMatchObject({
    slug: 'second-responder',
  });
  expect(await liftFreeze(ledger, { id: order.id, by: responder2, reason: 'fine' })).toMatchObject({ lifted: true });
  expect(await liftFreeze(ledger, { id: order.id, by: responder2, reason: 'fine' })).toMatchObject({ lifted: true });
  expect(await liftFreeze(ledger, { id: order.id, by: 'owner@tenure.example', reason: 'late' })).toMatchObject({
    slug: 'freeze-lifted',
  });
  const entries = await ledger.prisma.evidenceEntry.count({ where: { chain: `freeze/${order.id}` } });
  expect(entries).toBe(2);
});

test.concurrent('consumers that all acknowledged retire the old credential under a freeze, but not under a pause', async () => {
  const identityId = await onboarded();
  const { requestId } = await rotate(identityId);
  await hand.carryOutAll(requestId);
  await hand.command(requestId, { do: 'pause', by: responder, reason: 'wait' });
  const acknowledged = await repeated(() =>
    acknowledge(installation.ledger, { identityId, epoch: 2, consumer: 'pipeline:deploy' }),
  );
  expect(acknowledged).toMatchObject({ acknowledged: true });
  await hand.carryOutAll(requestId);
  expect(await hand.credentialsOf(identityId)).toBe('v1 retiring, v2 current');
  await freeze(identityId);
  await hand.command(requestId, { do: 'resume', by: responder, reason: 'go', all: false });
  await hand.carryOutAll(requestId);
  expect(await installation.issuer.list({ identityId })).toMatchObject([{ handle: `${identityId}-v2` }]);
});

test('freeze, pause, cancel and revocation take effect at once with every worker and Temporal away, and are carried out when they are back', async () => {
  const { ledger } = installation;
  const [frozenId, revokedId, cancelledId] = await Promise.all([onboarded(), onboarded(), onboarded()]);
  await Promise.all([frozenId, revokedId, cancelledId].map(rotate));
  const requestOf = async (identityId: string) =>
    ledger.prisma.request.findFirstOrThrow({ where: { identityId, kind: 'rotation' } });
  const paused = await hand.open(onboardingOrder({ environment: 'production' }));

  const frozen = await freeze(frozenId);
  await hand.command(paused.requestId, { do: 'pause', by: responder, reason: 'wait' });
  await hand.command((await requestOf(cancelledId)).id, { do: 'cancel', by: responder, reason: 'not now' });
  const order = openOrder('revocation', { identityId: revokedId, principal: responder, trigger: 'incident' });
  const revocation = await repeated(() => revokeNow(ledger, { ...order, kind: 'revocation' }));

  expect(await hand.stateOf(paused.requestId)).toMatchObject({ state: 'held' });
  expect(await hand.credentialsOf(cancelledId)).toBe('v1 current, v2 destroying');
  expect(await hand.credentialsOf(revokedId)).toBe('v1 destroying, v2 destroying');
  expect((await requestOf(revokedId)).state).toBe('cancelled');
  const consumer = 'pipeline:deploy';
  expect(await recordSecretAccess(ledger, { identityId: revokedId, consumer })).toMatchObject({ slug: 'revoking' });
  expect(await mayStillServe(ledger, { identityId: revokedId, version: 1 })).toMatchObject({ slug: 'revoking' });

  const stopWorker = await installation.startWorker();
  try {
    if (!revocation.opened) throw new Error(revocation.detail);
    await eventually(async () => {
      expect(await hand.stateOf(revocation.requestId)).toMatchObject({ state: 'completed' });
      expect(await served(revokedId)).toMatchObject({ kind: 'tombstone' });
      expect(await installation.issuer.list({ identityId: revokedId })).toEqual([]);
      expect(await hand.credentialsOf(frozenId)).toMatch(/^v1 current, v2 destroy(ing|ed)$/);
      for (const identityId of [cancelledId, frozenId])
        expect(await installation.issuer.list({ identityId })).toMatchObject([{ handle: `${identityId}-v1` }]);
    }, 20_000);
    await frozen.lift();
    await eventually(async () => expect(await served(frozenId)).toMatchObject({ version: 3, epoch: 2 }));
  } finally {
    await stopWorker();
  }
});
