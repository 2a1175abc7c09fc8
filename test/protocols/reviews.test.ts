import { afterAll, beforeAll, expect, test } from 'vitest';
import { caseFileOf, digestOfCaseFile } from '../../domain/caseFile.ts';
import { freezesOn } from '../../ledger/freezeSubjects.ts';
import { liftFreeze } from '../../ledger/freezes.ts';
import { findFreeze } from '../../ledger/queries/freezes.ts';
import { findRequest } from '../../ledger/queries/requests.ts';
import { type ByHand, byHand } from '../setup/byHand.ts';
import { eventually } from '../setup/eventually.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { openOrder } from '../setup/orders.ts';
import { at, reviewFlow, underReview } from '../setup/reviews.ts';
import { plainFlows } from './flows.ts';

/** Reviews as DESIGN section 5 has them: what lets a subject go from a freeze, and what does not. */

let installation: TestInstallation;
let hand: ByHand;
let by: ReturnType<typeof underReview>;

beforeAll(async () => {
  installation = await testInstallation({ flows: [...plainFlows, reviewFlow] });
  hand = byHand(installation);
  by = underReview(installation, hand);
});
afterAll(() => installation.close());

const frozenBy = async (identityId: string) =>
  ((await freezesOn(installation.ledger.prisma, [identityId])).get(identityId) ?? []).map(({ id }) => id);

/** The issuer of these tests offers no scopes, so they are the ledger's alone. */
async function scoped(...scopes: string[]): Promise<string> {
  const id = await by.onboarded();
  await installation.ledger.prisma.identity.update({ where: { id }, data: { scopes } });
  return id;
}

test('a subject thaws by a review that names its freeze, and its held rotation goes on; the others stay frozen', async () => {
  const integration = 'thawing';
  const [one, other] = [await by.onboarded({ integration }), await by.onboarded({ integration })];
  const freezeId = await by.freeze({ integrations: [integration] });
  const held = await by.rotate(one);
  expect(held.plan.state).toBe('held');

  const { requestId, plan } = await by.review(one, { freezeId, reissue: false });
  expect(plan.state, 'no freeze stops a review').toBe('awaiting-approval');
  expect((await by.approve(requestId, at('security-1'))).verdict).toMatchObject({ slug: 'not-eligible' });
  await by.approve(requestId, at('owner'));
  expect((await by.approve(requestId, at('requester'))).verdict).toMatchObject({ accepted: false });
  expect(await frozenBy(one)).toEqual([freezeId]);
  await by.approve(requestId, at('security-1'));

  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'completed' });
  expect(await frozenBy(one)).toEqual([]);
  expect(await frozenBy(other)).toEqual([freezeId]);
  expect((await hand.planOf(held.requestId)).effects).toMatchObject([{ activity: 'create' }]);
  expect(await hand.orderOf((await by.rotate(other)).requestId, 'create').catch(String)).toContain('held');
  expect(await by.evidenceOf(`freeze/${freezeId}`)).toEqual(['freeze.opened', 'freeze.thawed']);
  expect((await findFreeze(installation.ledger.prisma, freezeId))?.counts).toMatchObject({
    subjects: 2,
    unreviewed: 1,
    thawed: 1,
    refused: 2,
  });
});

test('a review that names no freeze thaws none that a responder opened, and one that names one thaws no other', async () => {
  const identityId = await by.onboarded();
  const [first, second] = [
    await by.freeze({ identityIds: [identityId] }),
    await by.freeze({ identityIds: [identityId], reason: 'incident 22' }),
  ];
  for (const [proposal, remaining] of [
    [{ reissue: false }, [first, second]],
    [{ freezeId: second, reissue: false }, [first]],
  ] as const) {
    const { requestId } = await by.review(identityId, proposal);
    await by.approve(requestId, at('owner'));
    await by.approve(requestId, at('security-1'));
    expect(await hand.stateOf(requestId)).toMatchObject({ state: 'completed' });
    expect(await frozenBy(identityId)).toEqual(remaining);
  }
  expect((await by.rotate(identityId)).plan.state).toBe('held');
});

test('a denied review changes nothing and thaws nothing', async () => {
  const identityId = await scoped('read', 'write');
  const freezeId = await by.freeze({ identityIds: [identityId] });
  const { requestId } = await by.review(identityId, { freezeId, scopes: ['read'], reissue: true });
  await by.approve(requestId, at('owner'));
  await hand.decide({ requestId, by: at('security-1'), verdict: 'deny' });
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'denied', reason: 'denied-by-approver' });
  expect(await frozenBy(identityId)).toEqual([freezeId]);
  const { scopes } = await installation.ledger.prisma.identity.findUniqueOrThrow({ where: { id: identityId } });
  expect(scopes).toEqual(['read', 'write']);
});

test('a review narrows the scopes, never widens them, and keeps what was narrowed meanwhile', async () => {
  const { prisma } = installation.ledger;
  const identityId = await scoped('read', 'write', 'delete');
  const refused = await hand
    .open(openOrder('review', { identityId, proposal: { scopes: ['read', 'admin'], reissue: false } }))
    .catch(String);
  expect(refused).toContain('Scope admin would widen access');
  const { requestId } = await by.review(identityId, { scopes: ['read', 'write'], reissue: false });
  await by.approve(requestId, at('owner'));
  await prisma.identity.update({ where: { id: identityId }, data: { scopes: ['read'] } });
  await by.approve(requestId, at('security-1'));
  // Who decided on what it was decides again.
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'awaiting-approval' });
  expect((await by.approve(requestId, at('owner'))).verdict).toEqual({ accepted: true });
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'completed' });
  expect((await prisma.identity.findUniqueOrThrow({ where: { id: identityId } })).scopes).toEqual(['read']);
});

test('the owner to be attests in the present owner’s place, and neither of the two approves the scope', async () => {
  const { prisma } = installation.ledger;
  const [former, next] = [await by.newPerson(), await by.newPerson()];
  await prisma.person.updateMany({ where: { id: { in: [former, next] } }, data: { listedGroups: ['security'] } });
  const identityId = await by.onboarded({ ownerId: former });
  const { requestId } = await by.review(identityId, { newOwner: next, reissue: false });
  expect((await by.approve(requestId, former)).verdict).toMatchObject({ slug: 'not-eligible' });
  await by.approve(requestId, next);
  for (const owner of [former, next])
    expect((await by.approve(requestId, owner)).verdict).toMatchObject({ slug: 'self-approval' });
  await by.approve(requestId, at('security-1'));
  expect((await prisma.identity.findUniqueOrThrow({ where: { id: identityId } })).ownerId).toBe(next);
});

test('nobody who has left becomes an owner, also when they leave before the last approval', async () => {
  const { prisma } = installation.ledger;
  const next = await by.newPerson();
  const identityId = await by.onboarded();
  const { requestId } = await by.review(identityId, { newOwner: next, reissue: false });
  await by.approve(requestId, next);
  await prisma.person.update({ where: { id: next }, data: { active: false } });
  await by.approve(requestId, at('security-1'));
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'denied', reason: 'owner-not-valid' });
  expect((await prisma.identity.findUniqueOrThrow({ where: { id: identityId } })).ownerId).toBe(at('owner'));
  const refused = await hand
    .open(openOrder('review', { identityId, proposal: { newOwner: next, reissue: false } }))
    .catch(String);
  expect(refused).toContain('owner-not-valid');
});

test('a decision binds what the review would change: one on another proposal is refused', async () => {
  const identityId = await scoped('read', 'write');
  const first = await by.review(identityId, { scopes: ['read'], reissue: false });
  const review = (await findRequest(installation.ledger, first.requestId))?.review;
  if (review === undefined || !('subject' in review)) throw new Error('the review is gone');
  const { proposal: _, ...without } = review;
  const forged = digestOfCaseFile(
    caseFileOf(installation.ledger.evidence.personKey, { ...without, proposal: { reissue: false } }).published,
  );
  const refused = await hand.decide({ requestId: first.requestId, by: at('owner'), change: { digest: forged } });
  expect(refused.verdict).toMatchObject({ slug: 'digest-mismatch' });
  const changed = installation.ledger.prisma.request.update({
    where: { id: first.requestId },
    data: { proposal: { reissue: true } },
  });
  await expect(changed).rejects.toThrow(/proposal never change/);
});

test('one review runs on an identity at a time: the same is joined, another is refused', async () => {
  const identityId = await by.onboarded();
  const running = await by.review(identityId, { reissue: false });
  const same = await hand.open(
    openOrder('review', { identityId, principal: at('responder'), proposal: { reissue: false } }),
  );
  expect(same).toMatchObject({ requestId: running.requestId, created: false });
  const another = await hand.open(openOrder('review', { identityId, proposal: { reissue: true } })).catch(String);
  expect(another).toContain('request-running');
});

test('a review is not paused; it can be cancelled, and a revocation ends it', async () => {
  const identityId = await by.onboarded();
  const { requestId } = await by.review(identityId);
  const pause = await hand.command(requestId, { do: 'pause', by: at('responder'), reason: 'wait' });
  expect(pause.verdict).toMatchObject({ slug: 'not-pausable' });
  const cancel = await hand.command(requestId, { do: 'cancel', by: at('responder'), reason: 'not now' });
  expect(cancel.verdict).toEqual({ accepted: true });
  const again = await by.review(identityId);
  const revocation = await hand.open(openOrder('revocation', { identityId }));
  await hand.carryOutAll(revocation.requestId);
  expect(await hand.stateOf(again.requestId)).toMatchObject({ state: 'cancelled', reason: 'revoking' });
});

test('a review that asks for it replaces the credential, once, after the thaw', async () => {
  const { prisma } = installation.ledger;
  const identityId = await by.onboarded({ consumers: [] });
  const freezeId = await by.freeze({ identityIds: [identityId] });
  const { requestId } = await by.review(identityId, { freezeId, reissue: true });
  await by.approve(requestId, at('owner'));
  await by.approve(requestId, at('security-1'));
  const stopWorker = await installation.startWorker();
  try {
    await eventually(async () => expect(await hand.credentialsOf(identityId)).toBe('v1 retiring, v2 current'));
  } finally {
    await stopWorker();
  }
  const rotations = await prisma.request.findMany({ where: { identityId, kind: 'rotation' } });
  expect(rotations).toMatchObject([{ requesterId: 'system:review', onBehalfOf: at('requester'), trigger: 'incident' }]);
});

test('a freeze is lifted without an override only when every active subject was reviewed', async () => {
  const integration = 'lifting';
  const identityId = await by.onboarded({ integration });
  await hand.open(openOrder('revocation', { identityId: await by.onboarded({ integration }) }));
  const freezeId = await by.freeze({ integrations: [integration] });
  const lift = () =>
    liftFreeze(installation.ledger, { id: freezeId, by: at('responder-2'), reason: 'done', onlyIfReviewed: true });
  expect(await lift()).toMatchObject({
    slug: 'exit-criteria-open',
    unreviewed: { count: 1, sample: [{ identityId, ownerId: at('owner') }] },
  });
  const { requestId } = await by.review(identityId, { freezeId, reissue: false });
  await by.approve(requestId, at('owner'));
  await by.approve(requestId, at('security-1'));
  expect(await lift()).toMatchObject({ lifted: true, freeze: { liftOverride: false } });
});
