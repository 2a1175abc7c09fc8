import { afterAll, beforeAll, expect, test } from 'vitest';
import { databaseClock } from '../../ledger/databaseClock.ts';
import { plainFlows } from '../protocols/flows.ts';
import { type ByHand, byHand } from '../setup/byHand.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { interruptions } from '../setup/interruptions.ts';
import { untilLedgerClockPasses } from '../setup/ledgerClock.ts';
import { onboardingOrder, openOrder } from '../setup/orders.ts';

/** Activities that nobody waits for any more, orders that were never issued, and looks that came too early (promises 1, 5, 10). */

const faults = interruptions();
let installation: TestInstallation;
let hand: ByHand;

beforeAll(async () => {
  installation = await testInstallation({ flows: plainFlows, leaseMs: 6_000, ...faults });
  hand = byHand(installation);
});
afterAll(() => installation?.close());

const notWanted = { ok: false, reason: 'NoLongerWanted' };
const credential = (identityId: string) =>
  installation.ledger.prisma.credential.findUniqueOrThrow({
    where: { identityId_version: { identityId, version: 1 } },
  });
const answersOf = (requestId: string) =>
  installation.ledger.prisma.effectOrder.count({ where: { requestId, recordedAt: { not: null } } });

/** An onboarding whose `create` hangs just before the issuer is called. */
async function hanging() {
  const { requestId, identityId } = await hand.open(onboardingOrder());
  const create = await hand.orderOf(requestId, 'create');
  const zombie = faults.hold('before create', identityId);
  const outcome = hand.perform(create);
  await zombie.reached;
  return { requestId, identityId, create, zombie, outcome };
}

test.concurrent('an attempt that Temporal called ended records nothing when it ends, and the next one makes the same credential', async () => {
  const { requestId, identityId, create, zombie, outcome } = await hanging();
  const { plan } = await hand.tell(requestId, { kind: 'effect', id: create.id });
  expect(plan).toMatchObject({ effects: [], state: 'executing' });
  expect(await hand.credentialsOf(identityId)).toBe('v1 minting');
  await zombie.release();
  expect(await outcome).toMatchObject(notWanted);
  expect(await answersOf(requestId)).toBe(0);

  await hand.command(requestId, { do: 'retry', by: 'owner@tenure.example', reason: 'now' });
  const again = await hand.orderOf(requestId, 'create');
  expect(again.input.nonce).not.toBe(create.input.nonce);
  await hand.carryOutAll(requestId);
  expect(await hand.credentialsOf(identityId)).toBe('v1 current');
});

test.concurrent('a creation that ends after its lease records nothing, not even that it was refused since its login had expired', async () => {
  const { requestId, identityId, create, zombie, outcome } = await hanging();
  await untilLedgerClockPasses(installation, (await credential(identityId)).leaseEndsAt);
  await zombie.release();
  expect(await outcome).toMatchObject({ ok: false, reason: 'ProofRefused' });
  expect(await answersOf(requestId)).toBe(0);
  await hand.tell(requestId, { kind: 'effect', id: create.id });
  expect(await hand.credentialsOf(identityId)).toBe('v1 minting');
});

test.concurrent('a creation that ends after a revocation records nothing', async () => {
  const { requestId, identityId, zombie, outcome } = await hanging();
  await hand.open(openOrder('revocation', { identityId }));
  await zombie.release();
  expect(await outcome).toMatchObject(notWanted);
  expect(await answersOf(requestId)).toBe(0);
  expect(await hand.credentialsOf(identityId)).toBe('v1 destroying');
});

test.concurrent('a promote that ends after a rollback took the next epoch records nothing', async () => {
  const { requestId: onboarding, identityId } = await hand.open(onboardingOrder());
  await hand.carryOutAll(onboarding);
  const { requestId } = await hand.open(openOrder('rotation', { identityId }));
  await hand.carryOut(requestId, 'create');
  const promote = await hand.orderOf(requestId, 'promote');
  const zombie = faults.hold('after promote', identityId);
  const outcome = hand.perform(promote);
  await zombie.reached;
  await hand.command(requestId, { do: 'rollback', by: 'responder@tenure.example', reason: 'broken' });
  await zombie.release();
  expect(await outcome).toMatchObject(notWanted);
  await hand.tell(requestId, { kind: 'effect', id: promote.id });
  await hand.carryOutAll(requestId);
  expect(await installation.store.read({ identityId })).toMatchObject({ version: 1, epoch: 3 });
});

test.concurrent('an order without a nonce, as histories from before have it, does nothing and is issued again', async () => {
  const { requestId, identityId } = await hand.open(onboardingOrder());
  const create = await hand.orderOf(requestId, 'create');
  const { nonce: _nonce, ...before } = create.input as { nonce: string; version: number };
  const old = { id: 'effect:effect/1/create-v1', activity: 'create', input: before } as unknown as typeof create;
  expect(await hand.perform(old)).toMatchObject(notWanted);
  expect(await installation.issuer.list({ identityId })).toEqual([]);
  const { plan } = await hand.tell(requestId, { kind: 'effect', id: old.id });
  expect(plan.effects).toEqual([create]);
  expect(await hand.credentialsOf(identityId)).toBe('v1 minting');
});

test.concurrent('the nonce of one effect does not order another, and what its input says is not believed', async () => {
  const { requestId, identityId } = await hand.open(onboardingOrder());
  const { requestId: other, identityId: victim } = await hand.open(onboardingOrder());
  const create = await hand.orderOf(requestId, 'create');
  const { nonce } = create.input;
  expect(
    await hand.perform({
      ...create,
      activity: 'destroy',
      input: { identityId: victim, version: 1, nonce: nonce ?? '' },
    }),
  ).toMatchObject(notWanted);
  const aimed = { ...create, input: { ...create.input, identityId: victim } } as typeof create;
  expect(await hand.perform(aimed)).toMatchObject({ ok: true });
  expect(await installation.issuer.list({ identityId: victim })).toEqual([]);
  expect(await installation.issuer.list({ identityId })).toHaveLength(1);
  expect(await answersOf(other)).toBe(0);
});

test.concurrent('an outcome that somebody tells of in the name of a step moves nothing', async () => {
  const { requestId, identityId } = await hand.open(onboardingOrder());
  const outcome = { ok: true, result: { fingerprint: 'f'.repeat(32) } };
  for (const id of ['effect:effect/1/create-v1', `effect:effect/1.${'0'.repeat(32)}/create-v1`])
    await hand.tell(requestId, { kind: 'effect', id, outcome } as never);
  expect(await hand.credentialsOf(identityId)).toBe('v1 minting');
});

test.concurrent('a last look that began before the lease ended is not final, however late it ends', async () => {
  const { requestId, identityId } = await hand.open(onboardingOrder());
  await hand.perform(await hand.orderOf(requestId, 'create'));
  await hand.command(requestId, { do: 'cancel', by: 'owner@tenure.example', reason: 'not now' });
  await hand.carryOutAll(requestId);
  const { leaseEndsAt } = await credential(identityId);
  const where = { kind_subjectId: { kind: 'sweep', subjectId: `${identityId}-v1` } };
  const now = () => databaseClock(installation.ledger.direct);
  await installation.ledger.prisma.dueWork.update({ where, data: { dueAt: await now() } });
  const look = faults.hold('after destroy', identityId);
  const run = installation.activities.runDueWork();
  await look.reached;
  await untilLedgerClockPasses(installation, leaseEndsAt);
  await look.release();
  await run;
  expect(await credential(identityId)).toMatchObject({ state: 'destroying' });

  await installation.ledger.prisma.dueWork.update({ where, data: { dueAt: await now() } });
  await installation.activities.runDueWork();
  expect(await credential(identityId)).toMatchObject({ state: 'destroyed' });
});

test.concurrent('a receipt dates the end of a credential that came back by the look that ended it, not by the first one', async () => {
  const { requestId, identityId, zombie, outcome } = await hanging();
  await hand.command(requestId, { do: 'cancel', by: 'owner@tenure.example', reason: 'not now' });
  await hand.carryOutAll(requestId);
  const first = (await credential(identityId)).receipt as { at: string };
  await zombie.release();
  expect(await outcome).toMatchObject(notWanted);
  expect(await installation.issuer.list({ identityId })).toHaveLength(1);
  await untilLedgerClockPasses(installation, (await credential(identityId)).leaseEndsAt);
  await installation.effects.destroy({ identityId, version: 1 });
  const { probe } = await credential(identityId);
  expect(Date.parse((probe as { at: string }).at)).toBeGreaterThan(Date.parse(first.at));
});
