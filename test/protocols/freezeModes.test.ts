import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freezesOn } from '../../ledger/freezeSubjects.ts';
import { liftFreeze } from '../../ledger/freezes.ts';
import { findFreeze } from '../../ledger/queries/freezes.ts';
import { escalateFreeze } from '../../ledger/systemFreezes.ts';
import { type ByHand, byHand } from '../setup/byHand.ts';
import { eventually } from '../setup/eventually.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { onboardingOrder, openOrder } from '../setup/orders.ts';
import { at, reviewFlow, underReview } from '../setup/reviews.ts';
import { approvedFlow, plainFlows } from './flows.ts';

/** Cancelling freezes, freezes that overlap, subjects that are relabelled, and what Tenure freezes by itself. */

let installation: TestInstallation;
let hand: ByHand;
let by: ReturnType<typeof underReview>;

beforeAll(async () => {
  const flows = [...plainFlows, approvedFlow('onboarding'), reviewFlow];
  installation = await testInstallation({ flows, leaseMs: 2_000 });
  hand = byHand(installation);
  by = underReview(installation, hand);
});
afterAll(() => installation.close());

const frozenBy = async (identityId: string) =>
  ((await freezesOn(installation.ledger.prisma, [identityId])).get(identityId) ?? []).map(({ id }) => id);
const countsOf = async (id: string) => (await findFreeze(installation.ledger.prisma, id))?.counts;

test('a cancelling freeze ends what has not committed, and destroys what was being made', async () => {
  const integration = 'cancelling';
  const identityId = await by.onboarded({ integration });
  const rotation = await by.rotate(identityId);
  const create = await hand.orderOf(rotation.requestId, 'create');
  const waiting = await hand.open(onboardingOrder({ integration, environment: 'production' }));
  expect(waiting.plan.state).toBe('awaiting-approval');
  const freezeId = await by.freeze({ integrations: [integration], mode: 'cancel' });

  await hand.report(rotation.requestId, create, await hand.perform(create));
  await hand.planOf(waiting.requestId);
  for (const { requestId } of [rotation, waiting])
    expect(await hand.stateOf(requestId)).toEqual({ state: 'cancelled', reason: 'frozen' });
  await hand.carryOutAll(rotation.requestId);
  expect(await installation.issuer.list({ identityId })).toMatchObject([{ handle: `${identityId}-v1` }]);
  expect(await hand.credentialsOf(waiting.identityId)).toBe('');

  const late = await by.rotate(identityId);
  expect(await hand.stateOf(late.requestId)).toEqual({ state: 'cancelled', reason: 'frozen' });
  expect(await countsOf(freezeId)).toMatchObject({ cancelled: 3, held: 0, usable: 1 });
});

test('a cancelling freeze never cancels after commit, and never a revocation or a review', async () => {
  const [rotated, revoked] = [await by.onboarded(), await by.onboarded()];
  const rotation = await by.rotate(rotated);
  await hand.carryOut(rotation.requestId, 'create');
  await by.freeze({ identityIds: [rotated, revoked], mode: 'cancel' });
  await hand.carryOutAll(rotation.requestId);
  expect(await hand.credentialsOf(rotated)).toBe('v1 retiring, v2 current');
  expect((await by.review(rotated)).plan.state).toBe('awaiting-approval');
  const revocation = await hand.open(openOrder('revocation', { identityId: revoked }));
  await hand.carryOutAll(revocation.requestId);
  expect(await installation.issuer.list({ identityId: revoked })).toEqual([]);
});

test('freezes and pauses are a set: a request goes on when the last of them is gone, whatever the order', async () => {
  const identityId = await by.onboarded();
  const { requestId } = await hand.open(openOrder('rotation', { identityId }));
  await hand.command(requestId, { do: 'pause', by: at('responder'), reason: 'wait' });
  const [first, second] = [
    await by.freeze({ identityIds: [identityId] }),
    await by.freeze({ integrations: [`none-${randomUUID()}`], identityIds: [identityId] }),
  ];
  const stateNow = async () => (await hand.planOf(requestId)).state;
  expect(await stateNow()).toBe('held');
  await liftFreeze(installation.ledger, { id: first, by: at('responder-2'), reason: 'over' });
  expect(await stateNow()).toBe('held');
  const resume = { do: 'resume', by: at('responder'), reason: 'go', all: false } as const;
  expect((await hand.command(requestId, resume)).verdict).toEqual({ accepted: true });
  expect(await stateNow()).toBe('held');
  const again = (await hand.command(requestId, resume)).verdict;
  expect(again).toMatchObject({ slug: 'not-paused', detail: expect.stringContaining(`(${second})`) });
  await liftFreeze(installation.ledger, { id: second, by: at('responder-2'), reason: 'over' });
  expect(await stateNow()).toBe('executing');
});

test('a new owner does not free an identity from a freeze of the old one’s, nor into one of the new one’s', async () => {
  const [former, next] = [await by.newPerson(), await by.newPerson()];
  const identityId = await by.onboarded({ ownerId: former });
  const ofFormer = await by.freeze({ ownerIds: [former] });
  const ofNext = await by.freeze({ ownerIds: [next] });
  const { requestId } = await by.review(identityId, { newOwner: next, reissue: false });
  await by.approve(requestId, next);
  await by.approve(requestId, at('security-1'));
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'completed' });
  expect((await frozenBy(identityId)).sort()).toEqual([ofFormer, ofNext].sort());
  expect(await by.evidenceOf(`freeze/${ofFormer}`)).toEqual(['freeze.opened', 'freeze.subject-kept']);
  expect((await by.rotate(identityId)).plan.state).toBe('held');

  for (const freezeId of [ofFormer, ofNext]) {
    const review = await by.review(identityId, { freezeId, reissue: false });
    await by.approve(review.requestId, next);
    await by.approve(review.requestId, at('security-1'));
  }
  expect(await frozenBy(identityId)).toEqual([]);
});

test('an amended owner does not free an onboarding from a freeze of the first one’s', async () => {
  const [former, next] = [await by.newPerson(), await by.newPerson()];
  const { requestId, identityId } = await hand.open(onboardingOrder({ ownerId: former, environment: 'production' }));
  const freezeId = await by.freeze({ ownerIds: [former] });
  await hand.command(requestId, { do: 'amend', by: at('requester'), reason: 'hand over', subject: { ownerId: next } });
  expect(await frozenBy(identityId)).toEqual([freezeId]);
  await hand.planOf(requestId);
  for (const approver of ['security-1', 'security-2']) await hand.decide({ requestId, by: at(approver) });
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'held' });
});

test('an identity that a flow version binds stays frozen when its request under that version ends', async () => {
  const { prisma } = installation.ledger;
  const identityId = await by.onboarded();
  const rotation = await by.rotate(identityId);
  const { flowDigest } = await prisma.request.findUniqueOrThrow({ where: { id: rotation.requestId } });
  const freezeId = await by.freeze({ flowDigests: [flowDigest] });
  await hand.command(rotation.requestId, { do: 'cancel', by: at('responder'), reason: 'to start again' });
  expect(await frozenBy(identityId)).toEqual([freezeId]);
  expect((await by.rotate(identityId)).plan.state).toBe('held');
  await liftFreeze(installation.ledger, { id: freezeId, by: at('responder-2'), reason: 'over' });
});

test('what a person who left owns is frozen once for each leaving, and thaws when somebody owns it', async () => {
  const { ledger, activities } = installation;
  const [leaver, heir] = [await by.newPerson(), await by.newPerson()];
  const [first, second] = [await by.onboarded({ ownerId: leaver }), await by.onboarded({ ownerId: leaver })];
  const leave = () => ledger.prisma.person.update({ where: { id: leaver }, data: { active: false } });
  await activities.runDueWork();
  expect(await frozenBy(first)).toEqual([]);
  await leave();
  await Promise.all([activities.runDueWork(), activities.runDueWork()]);
  const [freezeId = ''] = await frozenBy(first);
  expect(await frozenBy(second)).toEqual([freezeId]);
  const freeze = await ledger.prisma.freeze.findUniqueOrThrow({ where: { id: freezeId } });
  expect(freeze).toMatchObject({ openedBy: 'system:lifecycle', ownerIds: [leaver] });

  const { requestId } = await by.review(first, { newOwner: heir, reissue: false });
  await by.approve(requestId, heir);
  await by.approve(requestId, at('security-1'));
  expect(await frozenBy(first)).toEqual([]);
  expect(await frozenBy(second)).toEqual([freezeId]);

  await liftFreeze(ledger, { id: freezeId, by: at('responder'), reason: 'known, until Monday' });
  await activities.runDueWork();
  expect(await frozenBy(second), 'a responder’s lift is not fought').toEqual([]);
  await ledger.prisma.person.update({ where: { id: leaver }, data: { active: true } });
  await leave();
  await activities.runDueWork();
  expect(await frozenBy(second)).toHaveLength(1);
});

test('a due review is asked for, and when its date passes without one the identity is frozen until it is reviewed', async () => {
  const { ledger, activities } = installation;
  const { prisma } = ledger;
  const identityId = await by.onboarded();
  const due = (kind: string) => ({ where: { kind_subjectId: { kind, subjectId: identityId } } });
  const passes = (kind: string) => prisma.dueWork.update({ ...due(kind), data: { dueAt: new Date(0) } });
  const reviewDays = async (kind: string) =>
    Math.round(((await prisma.dueWork.findUniqueOrThrow(due(kind))).dueAt.getTime() - Date.now()) / 86_400_000);
  expect([await reviewDays('review'), await reviewDays('review-missed')]).toEqual([76, 90]);

  await passes('review-missed');
  await activities.runDueWork();
  expect(await frozenBy(identityId), 'nobody was asked').toEqual([]);

  const stopWorker = await installation.startWorker();
  const open = async () => prisma.request.findFirstOrThrow({ where: { identityId, kind: 'review', finishedAt: null } });
  try {
    await passes('review');
    await activities.runDueWork();
    expect(await open()).toMatchObject({ requesterId: 'system:lifecycle', trigger: 'schedule' });
    await passes('review-missed');
    await activities.runDueWork();
    expect(await frozenBy(identityId)).toHaveLength(1);
    const { id } = await open();
    await by.approve(id, at('owner'));
    await by.approve(id, at('security-1'));
    expect(await frozenBy(identityId)).toEqual([]);
    expect([await reviewDays('review'), await reviewDays('review-missed')]).toEqual([76, 90]);
    await passes('review');
    await activities.runDueWork();
    await eventually(async () => expect((await open()).id).not.toBe(id));
  } finally {
    await stopWorker();
  }
});

test('a freeze that goes on makes itself heard at each of its periods, and never ends by itself', async () => {
  const { ledger } = installation;
  const freezeId = await by.freeze({ identityIds: [await by.onboarded()], escalateAfter: 'PT1H' });
  expect(await escalateFreeze(ledger, freezeId)).toBe(true);
  expect(await by.evidenceOf(`freeze/${freezeId}`), 'not before its time').toEqual(['freeze.opened']);
  const { dueAt } = await ledger.prisma.dueWork.findUniqueOrThrow({
    where: { kind_subjectId: { kind: 'freeze-escalation', subjectId: freezeId } },
  });
  const { createdAt } = await ledger.prisma.freeze.findUniqueOrThrow({ where: { id: freezeId } });
  expect(dueAt.getTime() - createdAt.getTime()).toBe(3_600_000);

  const short = await by.freeze({ identityIds: [await by.onboarded()], escalateAfter: 'PT0.001S' });
  for (let period = 1; period <= 2; period += 1)
    await eventually(async () => {
      await escalateFreeze(ledger, short);
      const { escalations } = await ledger.prisma.freeze.findUniqueOrThrow({ where: { id: short } });
      expect(escalations).toBeGreaterThanOrEqual(period);
    });
  const told = await ledger.prisma.outboxMessage.findFirstOrThrow({ where: { kind: 'notify-freeze' } });
  expect(told.payload).toMatchObject({ to: ['role:responder', at('responder')], about: 'freeze-escalated' });
  await liftFreeze(ledger, { id: short, by: at('responder-2'), reason: 'over' });
  expect(await escalateFreeze(ledger, short)).toBe(false);
  expect((await by.evidenceOf(`freeze/${short}`)).at(-1)).toBe('freeze.lifted');
});
