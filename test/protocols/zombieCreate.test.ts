import { afterAll, beforeAll, expect, test } from 'vitest';
import { ownerNameOf } from '../../activities/issuers/postgresRoleNames.ts';
import type { EffectOrder, EffectOutcome } from '../../contracts/plan.ts';
import { type ByHand, byHand } from '../setup/byHand.ts';
import { eventually } from '../setup/eventually.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { type Hold, interruptions } from '../setup/interruptions.ts';
import { untilLedgerClockPasses } from '../setup/ledgerClock.ts';
import { onboardingOrder, openOrder } from '../setup/orders.ts';
import { plainFlows } from './flows.ts';

/** A creation that everybody gave up on still reaches the issuer, after its destroy was confirmed. */

const faults = interruptions();
let installation: TestInstallation;
let hand: ByHand;

beforeAll(async () => {
  installation = await testInstallation({ flows: plainFlows, leaseMs: 6_000, ...faults });
  hand = byHand(installation);
});
afterAll(() => installation.close());

interface Abandoned {
  readonly requestId: string;
  readonly identityId: string;
  readonly leaseEndsAt: Date;
  /** The held creation; it lands when this is released. */
  readonly zombie: Hold;
  readonly create: EffectOrder;
  readonly outcome: Promise<EffectOutcome>;
}

/** An onboarding whose `create` hangs with its secret staged, just before the issuer is called. */
async function abandoned(): Promise<Abandoned> {
  const { requestId, identityId } = await hand.open(onboardingOrder());
  const create = await hand.orderOf(requestId, 'create');
  const zombie = faults.hold('before create', identityId);
  const outcome = hand.perform(create);
  await zombie.reached;
  const { leaseEndsAt } = await credential(identityId);
  return { requestId, identityId, leaseEndsAt, zombie, create, outcome };
}

const credential = (identityId: string) =>
  installation.ledger.prisma.credential.findUniqueOrThrow({
    where: { identityId_version: { identityId, version: 1 } },
  });
const lastLeaseEnd = async (identityId: string) =>
  (
    await installation.ledger.prisma.credential.findFirstOrThrow({
      where: { identityId },
      orderBy: { leaseEndsAt: 'desc' },
    })
  ).leaseEndsAt;
const isListed = async (identityId: string) => (await installation.issuer.list({ identityId })).length > 0;
const cancel = (requestId: string) =>
  hand.command(requestId, { do: 'cancel', by: 'owner@tenure.example', reason: 'not now' });

/** A run of due work for the test beside this one may have claimed this one's row: then that run is still at it. */
async function swept(check: () => Promise<void>): Promise<void> {
  await installation.activities.runDueWork();
  await eventually(check);
}

test.concurrent('a creation that lands after its destroy was confirmed is refused from its lease end on, and is swept', async () => {
  const { requestId, identityId, leaseEndsAt, zombie } = await abandoned();
  const secret = await installation.store.readStaged({ identityId, version: 1 });
  await cancel(requestId);
  await hand.carryOutAll(requestId);
  expect(await credential(identityId)).toMatchObject({ state: 'destroying', receipt: { method: 'absent' } });

  await zombie.release();
  expect(await isListed(identityId)).toBe(true);
  // Too early: another late creation could still come.
  await installation.activities.runDueWork();
  expect(await credential(identityId)).toMatchObject({ state: 'destroying' });

  await untilLedgerClockPasses(installation, leaseEndsAt);
  const handle = `${identityId}-v1`;
  expect(await installation.issuer.prove({ handle, secret: secret ?? '' })).toBe('refused');
  await swept(async () => {
    expect(await isListed(identityId)).toBe(false);
    expect(await credential(identityId)).toMatchObject({ state: 'destroyed' });
  });
});

test.concurrent('an identity is not revoked before the last look after the lease has found the late creation and destroyed it', async () => {
  const { identityId, leaseEndsAt, zombie } = await abandoned();
  const { requestId } = await hand.open(openOrder('revocation', { identityId }));
  const waiting = await hand.carryOutAll(requestId);
  expect(waiting).toMatchObject({ state: 'executing', effects: [], timer: { dueAt: leaseEndsAt.toISOString() } });
  await zombie.release();
  expect(await isListed(identityId)).toBe(true);

  await untilLedgerClockPasses(installation, leaseEndsAt);
  const look = await hand.orderOf(requestId, 'destroy');
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'executing' });
  await hand.report(requestId, look, await hand.perform(look));
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'completed' });
  expect(await isListed(identityId)).toBe(false);
});

test.concurrent('a creation that lands between a destroy and the lease end is found, although the destroy was told after it', async () => {
  const { requestId, identityId, leaseEndsAt, zombie } = await abandoned();
  await cancel(requestId);
  const destroy = await hand.orderOf(requestId, 'destroy');
  // It has looked at the issuer already; its answer is under way while the late creation lands and the lease ends.
  const outcome = await hand.perform(destroy);
  await zombie.release();
  expect(await isListed(identityId)).toBe(true);
  await untilLedgerClockPasses(installation, leaseEndsAt);
  await hand.report(requestId, destroy, outcome);
  await swept(async () => {
    expect(await isListed(identityId)).toBe(false);
    expect(await credential(identityId)).toMatchObject({ state: 'destroyed' });
  });
});

test.concurrent('the same under a revocation: the identity is revoked only when nothing of it is left', async () => {
  const { identityId, leaseEndsAt, zombie } = await abandoned();
  const { requestId } = await hand.open(openOrder('revocation', { identityId }));
  await hand.carryOut(requestId, 'quarantine');
  const destroy = await hand.orderOf(requestId, 'destroy');
  const outcome = await hand.perform(destroy);
  await zombie.release();
  await untilLedgerClockPasses(installation, leaseEndsAt);
  await hand.report(requestId, destroy, outcome);
  await hand.carryOutAll(requestId);
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'completed' });
  expect(await isListed(identityId)).toBe(false);
});

test.concurrent('a creation that lands after even the last look does not keep the identity from being revoked, and goes with it', async () => {
  const { requestId: onboarding, identityId } = await hand.open(onboardingOrder());
  await hand.carryOutAll(onboarding);
  const { requestId: rotation } = await hand.open(openOrder('rotation', { identityId }));
  const zombie = faults.hold('before create', identityId);
  const outcome = hand.perform(await hand.orderOf(rotation, 'create'));
  await zombie.reached;
  const where = { identityId_version: { identityId, version: 2 } };
  const { leaseEndsAt } = await installation.ledger.prisma.credential.findUniqueOrThrow({ where });
  await cancel(rotation);
  await untilLedgerClockPasses(installation, leaseEndsAt);
  await hand.carryOutAll(rotation);
  expect(await hand.credentialsOf(identityId)).toBe('v1 current, v2 destroyed');

  await zombie.release();
  await outcome;
  expect((await installation.issuer.list({ identityId })).map(({ handle }) => handle)).toContain(`${identityId}-v2`);
  const { requestId } = await hand.open(openOrder('revocation', { identityId }));
  await untilLedgerClockPasses(installation, await lastLeaseEnd(identityId));
  await hand.carryOutAll(requestId);
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'completed' });
  expect(await isListed(identityId)).toBe(false);
});

const rolesOf = (identityId: string) =>
  installation.ledger.prisma
    .$queryRaw`SELECT rolname FROM pg_roles WHERE starts_with(rolname, ${ownerNameOf(identityId)})`;

for (const how of ['cancelled', 'revoked'] as const)
  test.concurrent(`an onboarding that is ${how} when its pause has destroyed what it made leaves nothing at the issuer`, async () => {
    const { requestId, identityId } = await hand.open(onboardingOrder());
    await hand.perform(await hand.orderOf(requestId, 'create'));
    await hand.command(requestId, { do: 'pause', by: 'responder@tenure.example', reason: 'wait' });
    await untilLedgerClockPasses(installation, (await credential(identityId)).leaseEndsAt);
    const destroy = await hand.orderOf(requestId, 'destroy');
    // Confirmed gone before the identity is rejected, and told after: the identity still had a future when that was asked.
    const outcome = await hand.perform(destroy);
    expect(await rolesOf(identityId)).toHaveLength(1);
    if (how === 'cancelled') await cancel(requestId);
    else await hand.open(openOrder('revocation', { identityId }));
    await hand.report(requestId, destroy, outcome);
    expect(await credential(identityId)).toMatchObject({ state: 'destroyed' });
    await swept(async () => expect(await rolesOf(identityId)).toEqual([]));
  });

test.concurrent('a creation that comes after its staged value was discarded never reaches the issuer', async () => {
  const { requestId, identityId } = await hand.open(onboardingOrder());
  const order = await hand.orderOf(requestId, 'create');
  const zombie = faults.hold('before stage', identityId);
  const outcome = hand.perform(order);
  await zombie.reached;
  await cancel(requestId);
  await hand.carryOutAll(requestId);
  await zombie.release();
  expect(await outcome).toMatchObject({ ok: false, reason: 'StagedValueDestroyed' });
  expect(await isListed(identityId)).toBe(false);
});

test.concurrent('the late success of an abandoned creation commits nothing', async () => {
  const { requestId, identityId, zombie, create, outcome } = await abandoned();
  await cancel(requestId);
  await zombie.release();
  await hand.report(requestId, create, await outcome);
  expect(await hand.credentialsOf(identityId)).toBe('v1 destroying');
  expect(await installation.store.read({ identityId })).toBeUndefined();
});
