import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ByHand, byHand } from '../setup/byHand.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { interruptions } from '../setup/interruptions.ts';
import { onboardingOrder, openOrder } from '../setup/orders.ts';
import { plainFlows } from './flows.ts';

const faults = interruptions();
let installation: TestInstallation;
let hand: ByHand;

beforeAll(async () => {
  installation = await testInstallation({ flows: plainFlows, leaseMs: 60_000, ...faults });
  hand = byHand(installation);
});
afterAll(() => installation.close());

const by = 'responder@tenure.example';
const away = new Error('the other side is away');
const retry = (requestId: string) => hand.command(requestId, { do: 'retry', by, reason: 'try again' });
const resolve = (requestId: string, version: number) =>
  hand.command(requestId, { do: 'resolve', by, reason: 'the server was scrapped', version });

async function onboarded(): Promise<string> {
  const { requestId, identityId } = await hand.open(onboardingOrder());
  await hand.carryOutAll(requestId);
  return identityId;
}

/** Fails the planned effect until the request says that it is stuck. */
async function untilStuck(requestId: string): Promise<void> {
  for (let round = 1; (await hand.stateOf(requestId)).state !== 'stuck'; round += 1) {
    expect(round, 'it should be stuck by now').toBeLessThan(10);
    if (round > 1) expect((await retry(requestId)).verdict).toEqual({ accepted: true });
    await hand.carryOutAll(requestId);
  }
}

const credential = (identityId: string, version: number) =>
  installation.ledger.prisma.credential.findUniqueOrThrow({
    where: { identityId_version: { identityId, version } },
  });

/** As if the time had passed. */
function endLeases(identityId: string) {
  return installation.ledger.prisma.credential.updateMany({ where: { identityId }, data: { leaseEndsAt: new Date() } });
}

test.concurrent('an issuer that is away leaves the request executing with visible retries, then stuck, and a retry finishes it', async () => {
  const { requestId, identityId } = await hand.open(onboardingOrder());
  const mend = faults.fail('before create', identityId, away);
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'executing' });
  const first = await hand.carryOut(requestId, 'create');
  expect(first.plan).toMatchObject({ state: 'executing', effects: [] });
  expect(first.plan.timer).toBeDefined();
  await untilStuck(requestId);
  const { flowState } = await installation.ledger.prisma.request.findUniqueOrThrow({ where: { id: requestId } });
  expect(JSON.stringify(flowState)).toContain(away.message);
  mend();
  await retry(requestId);
  await hand.carryOutAll(requestId);
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'completed' });
  // The handle that was begun is the one that was finished.
  expect(await hand.credentialsOf(identityId)).toBe('v1 current');
});

test.concurrent('a store that is away keeps the old value served until the promote succeeds', async () => {
  const identityId = await onboarded();
  const mend = faults.fail('before promote', identityId, away);
  const { requestId } = await hand.open(openOrder('rotation', { identityId }));
  await untilStuck(requestId);
  expect(await installation.store.read({ identityId })).toMatchObject({ version: 1, epoch: 1 });
  expect(await hand.credentialsOf(identityId)).toBe('v1 retiring, v2 current');
  mend();
  await retry(requestId);
  await hand.carryOutAll(requestId);
  expect(await installation.store.read({ identityId })).toMatchObject({ version: 2, epoch: 2 });
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'awaiting-consumers' });
});

test.concurrent('a destroy that nobody confirms is resolved by a person: the receipt says unverifiable, why, and what may still be used until when', async () => {
  const identityId = await onboarded();
  faults.fail('before destroy', identityId, away);
  const { requestId } = await hand.open(openOrder('revocation', { identityId }));
  expect((await resolve(requestId, 1)).verdict).toMatchObject({ slug: 'not-stuck' });
  await untilStuck(requestId);
  const { expiresAt } = await credential(identityId, 1);
  await endLeases(identityId);
  expect((await resolve(requestId, 2)).verdict).toMatchObject({ slug: 'not-stuck' });
  expect((await resolve(requestId, 1)).verdict).toEqual({ accepted: true });
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'completed' });
  expect((await credential(identityId, 1)).receipt).toMatchObject({
    method: 'unverifiable',
    because: expect.stringContaining('the server was scrapped'),
    stillUsable: [{ until: expiresAt?.toISOString() }],
  });
});

test.concurrent('a last look that the issuer no longer answers can be resolved too, so that a revocation always ends', async () => {
  const identityId = await onboarded();
  const { requestId } = await hand.open(openOrder('rotation', { identityId }));
  await hand.orderOf(requestId, 'create');
  const revocation = await hand.open(openOrder('revocation', { identityId }));
  await hand.carryOutAll(revocation.requestId);
  expect((await credential(identityId, 2)).receipt).toMatchObject({ method: 'absent' });
  expect(await hand.stateOf(revocation.requestId)).toMatchObject({ state: 'executing' });

  faults.fail('before destroy', identityId, away);
  await endLeases(identityId);
  await untilStuck(revocation.requestId);
  expect((await resolve(revocation.requestId, 2)).verdict).toEqual({ accepted: true });
  // The first version waits for its last look as well, if it was destroyed within its own lease.
  if ((await hand.stateOf(revocation.requestId)).state !== 'completed') await resolve(revocation.requestId, 1);
  expect(await hand.stateOf(revocation.requestId)).toMatchObject({ state: 'completed' });
  const { state } = await installation.ledger.prisma.identity.findUniqueOrThrow({ where: { id: identityId } });
  expect(state).toBe('revoked');
});

test.concurrent('a closed request that still owes a destroy can be retried and resolved, and nothing else', async () => {
  const { requestId, identityId } = await hand.open(onboardingOrder());
  await hand.perform(await hand.orderOf(requestId, 'create'));
  const mend = faults.fail('before destroy', identityId, away);
  await hand.command(requestId, { do: 'cancel', by, reason: 'not now' });
  await hand.carryOut(requestId, 'destroy');
  const owing = await installation.ledger.prisma.request.findUniqueOrThrow({ where: { id: requestId } });
  expect(owing).toMatchObject({ state: 'cancelled', owesDestroys: true });
  expect(owing.wakeAt).not.toBeNull();
  expect((await hand.command(requestId, { do: 'pause', by, reason: 'x' })).verdict).toMatchObject({
    slug: 'request-closed',
  });
  mend();
  expect((await retry(requestId)).verdict).toEqual({ accepted: true });
  expect((await hand.carryOutAll(requestId)).done).toBe(true);
  expect(await installation.issuer.list({ identityId })).toEqual([]);
  expect(await installation.ledger.prisma.request.findUniqueOrThrow({ where: { id: requestId } })).toMatchObject({
    owesDestroys: false,
    wakeAt: null,
  });
});

test.concurrent('a retry of a request that waits for nothing is refused', async () => {
  const { requestId } = await hand.open(onboardingOrder());
  expect((await retry(requestId)).verdict).toMatchObject({ slug: 'not-stuck' });
});
