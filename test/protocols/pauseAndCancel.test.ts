import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Verdict } from '../../contracts/events.ts';
import { acknowledge } from '../../ledger/acknowledge.ts';
import { openFreeze } from '../../ledger/freezes.ts';
import { type ByHand, byHand } from '../setup/byHand.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { onboardingOrder, openOrder } from '../setup/orders.ts';
import { repeated } from '../setup/repeated.ts';
import { approvedFlows, plainFlows } from './flows.ts';

let installation: TestInstallation;
let hand: ByHand;

beforeAll(async () => {
  installation = await testInstallation({ flows: [...plainFlows, ...approvedFlows], leaseMs: 60_000 });
  hand = byHand(installation);
});
afterAll(() => installation.close());

const at = (name: string) => `${name}@tenure.example`;
const consumer = 'pipeline:deploy';

/** A request that stands at a step, with how it goes on from there when nothing is in its way. */
interface Standing {
  readonly requestId: string;
  readonly identityId: string;
}

async function onboardingAt(step: OnboardingStep): Promise<Standing> {
  const { requestId, identityId } = await hand.open(onboardingOrder({ environment: 'production' }));
  if (step !== 'awaiting approval') await approve(requestId);
  if (step === 'committed, not promoted') await hand.carryOut(requestId, 'create');
  return { requestId, identityId };
}

async function rotationAt(step: RotationStep): Promise<Standing> {
  const first = await onboardingAt('minting');
  await hand.carryOutAll(first.requestId);
  const { identityId } = first;
  const { requestId } = await hand.open(openOrder('rotation', { identityId }));
  if (step !== 'awaiting approval') await approve(requestId);
  if (rotationSteps.indexOf(step) >= rotationSteps.indexOf('committed, not promoted'))
    await hand.carryOut(requestId, 'create');
  if (rotationSteps.indexOf(step) >= rotationSteps.indexOf('awaiting consumers')) await hand.carryOutAll(requestId);
  if (step === 'destroying') {
    await repeated(() => acknowledge(installation.ledger, { identityId, epoch: 2, consumer }));
    await hand.planOf(requestId);
  }
  return { requestId, identityId };
}

const onboardingSteps = ['awaiting approval', 'minting', 'committed, not promoted'] as const;
const rotationSteps = [...onboardingSteps, 'awaiting consumers', 'destroying'] as const;
type OnboardingStep = (typeof onboardingSteps)[number];
type RotationStep = (typeof rotationSteps)[number];

const standings: readonly (readonly [name: string, reach: () => Promise<Standing>])[] = [
  ...onboardingSteps.map((step) => [`onboarding, ${step}`, () => onboardingAt(step)] as const),
  ...rotationSteps.map((step) => [`rotation, ${step}`, () => rotationAt(step)] as const),
];
const isCommitted = (name: string) => !/approval|minting/.test(name);

async function approve(requestId: string): Promise<void> {
  for (const name of ['security-1', 'security-2']) await hand.decide({ requestId, by: at(name) });
}

/** Approvals, effects and acknowledgements: whatever it still waits for. */
async function finish({ requestId, identityId }: Standing): Promise<void> {
  if ((await hand.planOf(requestId)).state === 'awaiting-approval') await approve(requestId);
  await hand.carryOutAll(requestId);
  const { epoch } = await installation.ledger.prisma.identity.findUniqueOrThrow({ where: { id: identityId } });
  await repeated(() => acknowledge(installation.ledger, { identityId, epoch, consumer }));
  await hand.carryOutAll(requestId);
}

const handles = async (identityId: string) =>
  (await installation.issuer.list({ identityId })).map(({ handle }) => handle);
const pause = (requestId: string, by = at('responder')) => hand.command(requestId, { do: 'pause', by, reason: 'wait' });
const resume = (requestId: string, by = at('responder'), all = false) =>
  hand.command(requestId, { do: 'resume', by, reason: 'go on', all });

test.concurrent.each(standings)(
  'a pause holds %s, keeps nothing uncommitted alive, and after resume it completes',
  async (name, reach) => {
    const standing = await reach();
    const { requestId, identityId } = standing;
    expect((await pause(requestId)).verdict).toEqual({ accepted: true });
    if (name.includes('approval')) await approve(requestId);
    await hand.carryOutAll(requestId);
    expect(await hand.stateOf(requestId)).toMatchObject({ state: 'held' });
    // Whatever the issuer has is committed, or on its way out because it was replaced before the pause.
    const committed = await installation.ledger.prisma.credential.findMany({
      where: { identityId, state: { in: ['current', 'retiring'] } },
    });
    expect(new Set(await handles(identityId))).toEqual(new Set(committed.map(({ handle }) => handle)));
    if (isCommitted(name)) {
      const live = await installation.store.read({ identityId });
      expect(live).toMatchObject({ kind: 'value', version: name.startsWith('rotation') ? 2 : 1 });
    }
    await resume(requestId);
    await finish(standing);
    expect(await hand.stateOf(requestId)).toMatchObject({ state: 'completed' });
    const current = await installation.ledger.prisma.credential.findFirstOrThrow({
      where: { identityId, state: 'current' },
    });
    expect(await handles(identityId)).toEqual([current.handle]);
    expect(await installation.store.read({ identityId })).toMatchObject({ kind: 'value', version: current.version });
  },
);

test.concurrent.each(standings.filter(([name]) => !isCommitted(name)))(
  'a cancel ends %s, destroys what was made, and leaves what was served',
  async (name, reach) => {
    const { requestId, identityId } = await reach();
    const before = await installation.store.read({ identityId });
    expect((await hand.command(requestId, { do: 'cancel', by: at('owner'), reason: 'not now' })).verdict).toEqual({
      accepted: true,
    });
    expect(await hand.stateOf(requestId)).toEqual({ state: 'cancelled', reason: 'not now' });
    await hand.carryOutAll(requestId);
    const { state } = await installation.ledger.prisma.identity.findUniqueOrThrow({ where: { id: identityId } });
    const isRotation = name.startsWith('rotation');
    expect(state).toBe(isRotation ? 'active' : 'rejected');
    expect(await handles(identityId)).toEqual(isRotation ? [`${identityId}-v1`] : []);
    expect(await installation.store.read({ identityId })).toEqual(before);
    expect((await hand.command(requestId, { do: 'cancel', by: at('owner'), reason: 'again' })).verdict).toMatchObject({
      slug: 'request-closed',
    });
  },
);

test.concurrent.each(standings.filter(([name]) => isCommitted(name)))(
  'a cancel of %s is refused as committed, and changes nothing',
  async (_name, reach) => {
    const { requestId, identityId } = await reach();
    const before = await hand.credentialsOf(identityId);
    expect(
      (await hand.command(requestId, { do: 'cancel', by: at('owner'), reason: 'too late' })).verdict,
    ).toMatchObject({
      slug: 'committed',
    });
    expect(await hand.credentialsOf(identityId)).toBe(before);
  },
);

test.concurrent.each(['awaiting approval', 'minting'] as const)(
  'a paused onboarding, %s, can still be cancelled, and nothing of it remains',
  async (step) => {
    const { requestId, identityId } = await onboardingAt(step);
    await pause(requestId);
    await hand.command(requestId, { do: 'cancel', by: at('owner'), reason: 'not now' });
    await hand.carryOutAll(requestId);
    expect(await hand.stateOf(requestId)).toMatchObject({ state: 'cancelled' });
    expect(await handles(identityId)).toEqual([]);
  },
);

test.concurrent('a creation that was cancelled while it ran is destroyed, and its late success commits nothing', async () => {
  const { requestId, identityId } = await rotationAt('minting');
  const create = await hand.orderOf(requestId, 'create');
  const outcome = await hand.perform(create);
  await hand.command(requestId, { do: 'cancel', by: at('owner'), reason: 'not now' });
  await hand.report(requestId, create, outcome);
  expect(await hand.credentialsOf(identityId)).toBe('v1 current, v2 destroying');
  await hand.carryOutAll(requestId);
  expect(await handles(identityId)).toEqual([`${identityId}-v1`]);
});

test.concurrent('a pause is lifted by who gave it, or by all at once, and resume says which hold remains', async () => {
  const { requestId, identityId } = await rotationAt('minting');
  await pause(requestId, at('owner'));
  await pause(requestId, at('owner'));
  await pause(requestId, at('responder'));
  const freeze = {
    id: randomUUID(),
    identityIds: [identityId],
    integrations: [],
    reason: 'incident',
    by: at('responder'),
  };
  await repeated(() => openFreeze(installation.ledger, freeze));
  const stranger = (await resume(requestId, at('requester'))).verdict;
  expect(stranger).toMatchObject({ slug: 'not-paused' });
  expect(detailOf(stranger)).toContain(`pause by ${at('owner')}`);
  expect((await resume(requestId, at('owner'))).verdict).toEqual({ accepted: true });
  const again = (await resume(requestId, at('owner'))).verdict;
  expect(detailOf(again)).toContain(`pause by ${at('responder')}`);
  expect(detailOf(again)).toContain('freeze');
  expect((await resume(requestId, at('responder-2'), true)).verdict).toEqual({ accepted: true });
  const frozen = (await resume(requestId, at('responder-2'), true)).verdict;
  expect(detailOf(frozen)).toContain(`freeze by ${at('responder')}`);
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'held' });
});

test.concurrent('a rotation is rolled back at every step after its commit until the old credential is being destroyed', async () => {
  for (const step of ['committed, not promoted', 'awaiting consumers'] as const) {
    const standing = await rotationAt(step);
    const { requestId, identityId } = standing;
    expect((await hand.command(requestId, { do: 'rollback', by: at('owner'), reason: 'broken' })).verdict).toEqual({
      accepted: true,
    });
    await hand.carryOutAll(requestId);
    expect(await installation.store.read({ identityId })).toMatchObject({ version: 1, epoch: 3 });
    await finish(standing);
    expect(await hand.stateOf(requestId)).toEqual({ state: 'completed', reason: 'rolled-back' });
    expect(await handles(identityId)).toEqual([`${identityId}-v1`]);
  }
  for (const [step, word] of [
    ['minting', 'cancel'],
    ['destroying', 'destroyed'],
  ] as const) {
    const { requestId } = await rotationAt(step);
    const { verdict } = await hand.command(requestId, { do: 'rollback', by: at('owner'), reason: 'broken' });
    expect(verdict).toMatchObject({ slug: 'not-rollbackable' });
    expect(detailOf(verdict)).toContain(word);
  }
});

test.concurrent('a revocation that has begun can be neither paused nor cancelled', async () => {
  const { requestId: rotationId, identityId } = await rotationAt('awaiting consumers');
  const { requestId } = await hand.open(openOrder('revocation', { identityId }));
  expect((await pause(requestId)).verdict).toMatchObject({ slug: 'not-pausable' });
  expect((await hand.command(requestId, { do: 'cancel', by: at('owner'), reason: 'no' })).verdict).toMatchObject({
    slug: 'not-cancellable',
  });
  expect(await hand.stateOf(rotationId)).toEqual({ state: 'cancelled', reason: 'revoking' });
  expect((await hand.command(rotationId, { do: 'rollback', by: at('owner'), reason: 'no' })).verdict).toMatchObject({
    slug: 'request-closed',
  });
});

test.concurrent('a request that a revocation ends beside it has its end in the evidence, on its own chain', async () => {
  const { requestId: rotationId, identityId } = await rotationAt('awaiting consumers');
  await hand.open(openOrder('revocation', { identityId }));
  const entries = await installation.ledger.prisma.evidenceEntry.findMany({
    where: { chain: `request/${rotationId}` },
    orderBy: { position: 'asc' },
  });
  expect(JSON.parse(entries.at(-1)?.body ?? '{}')).toMatchObject({
    kind: 'request.finished',
    requestId: rotationId,
    data: { state: 'cancelled', reason: 'revoking' },
  });
});

function detailOf(verdict: Verdict): string {
  return verdict.accepted ? '' : verdict.detail;
}
