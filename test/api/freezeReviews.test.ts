import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { askForReviews } from '../../activities/freezeReviews.ts';
import { FreezeBody } from '../../api/representations/freeze.ts';
import { FreezeReviewsBody } from '../../api/representations/freezeReviews.ts';
import { MassRevocationBody } from '../../api/representations/massRevocation.ts';
import { RequestBody } from '../../api/representations/request.ts';
import { reviewFlow } from '../setup/reviews.ts';
import { type ApiFixture, apiFixture, emailOf, type PersonName } from './apiFixture.ts';
import { decide, onboarded } from './onboarded.ts';

/** Reviews of all that a freeze holds, through the API; the lifecycle's rounds are made by hand. */

const reason = 'host rebuilt';

async function frozenIdentities(api: ApiFixture, count: number): Promise<{ freezeId: string; identityIds: string[] }> {
  const identityIds: string[] = [];
  for (let n = 0; n < count; n += 1) identityIds.push((await onboarded(api, { name: `billing ${n}` })).identityId);
  const body = { integrations: ['payments'], reason: 'compromised build host', confirm: 'everything' };
  const { id } = (await api.as('responder-1', '/v1/freezes', { body })).as(FreezeBody);
  return { freezeId: id, identityIds: identityIds.sort() };
}

function order(api: ApiFixture, freezeId: string, change: object = {}, as: PersonName = 'responder-1') {
  return api.as(as, `/v1/freezes/${freezeId}/reviews`, { body: { reason, ...change } });
}

const standing = async (api: ApiFixture, freezeId: string) =>
  (await api.as('owner', `/v1/freezes/${freezeId}/reviews`)).as(FreezeReviewsBody);

/** One round of the lifecycle with the newest order. */
async function round(api: ApiFixture, freezeId: string): Promise<boolean> {
  const { id } = await api.ledger.prisma.freezeReviewOrder.findFirstOrThrow({
    where: { freezeId },
    orderBy: { createdAt: 'desc' },
  });
  return askForReviews({ ledger: api.ledger, open: api.gateway.open }, id);
}

const reviewsOf = (api: ApiFixture, identityId: string) =>
  api.ledger.prisma.request.findMany({ where: { identityId, kind: 'review' }, orderBy: { createdAt: 'asc' } });

async function openReviewOf(api: ApiFixture, identityId: string): Promise<string> {
  return (await api.ledger.prisma.request.findFirstOrThrow({ where: { identityId, kind: 'review', finishedAt: null } }))
    .id;
}

async function passReview(api: ApiFixture, identityId: string): Promise<void> {
  const requestId = await openReviewOf(api, identityId);
  await decide(api, 'owner', requestId);
  expect((await decide(api, 'security-1', requestId)).as(RequestBody).state).toBe('completed');
}

test('each subject of a freeze is asked for its review, thaws as its own passes, and the freeze is lifted when the last has', async () => {
  const api = await apiFixture({ moreFlows: [reviewFlow] });
  const { freezeId, identityIds } = await frozenIdentities(api, 3);
  const [first = '', second = '', third = ''] = identityIds;
  expect((await api.as('owner', `/v1/freezes/${freezeId}/reviews`)).slug).toBe('not-found');
  const key = randomUUID();
  for (const _ of ['asked', 'and repeated']) {
    const answer = await api.as('responder-1', `/v1/freezes/${freezeId}/reviews`, { body: { reason }, key });
    expect([answer.status, answer.headers.get('location')]).toEqual([202, `/v1/freezes/${freezeId}/reviews`]);
    expect(answer.as(FreezeReviewsBody).counts).toMatchObject({ waiting: 3, open: 0 });
  }
  expect(await round(api, freezeId)).toBe(true);
  expect(await round(api, freezeId)).toBe(false);

  expect((await standing(api, freezeId)).counts).toEqual({ waiting: 0, open: 3, thawed: 0, ended: 0, refused: 0 });
  const asked = (await api.as('owner', `/v1/requests/${await openReviewOf(api, first)}`)).as(RequestBody);
  expect(asked).toMatchObject({ trigger: 'incident', justification: reason, onBehalfOf: emailOf('responder-1') });
  expect(asked.review).toMatchObject({ proposal: { freezeId, reissue: false } });
  await passReview(api, first);
  await decide(api, 'owner', await openReviewOf(api, second), 'deny');
  const half = await standing(api, freezeId);
  expect(half.counts).toEqual({ waiting: 0, open: 1, thawed: 1, ended: 1, refused: 0 });
  expect(half.missing.map(({ identityId, standing, because }) => [identityId, standing, because])).toEqual([
    [second, 'ended', 'denied-by-approver'],
    [third, 'open', null],
  ]);

  // Ordered again, whoever was not let go is asked again; a review that is under way is the one that was wanted.
  await order(api, freezeId);
  while (await round(api, freezeId));
  expect((await standing(api, freezeId)).counts).toEqual({ waiting: 0, open: 2, thawed: 1, ended: 0, refused: 0 });
  expect([await reviewsOf(api, second), await reviewsOf(api, third)].map(({ length }) => length)).toEqual([2, 1]);
  for (const identityId of [second, third]) await passReview(api, identityId);
  const lift = await api.as('responder-2', `/v1/freezes/${freezeId}/lift`, { body: { reason } });
  expect(lift.as(FreezeBody).liftOverride).toBe(false);
});

test('who ordered the reviews does not approve the scope in any of them', async () => {
  const api = await apiFixture({ moreFlows: [reviewFlow.replaceAll('group:security,', 'group:responder,')] });
  const { freezeId, identityIds } = await frozenIdentities(api, 1);
  await order(api, freezeId);
  await round(api, freezeId);
  const requestId = await openReviewOf(api, identityIds[0] ?? '');
  await decide(api, 'owner', requestId);
  expect((await decide(api, 'responder-1', requestId)).slug).toBe('self-approval');
  expect((await decide(api, 'responder-2', requestId)).as(RequestBody).state).toBe('completed');
});

test('one that cannot be opened keeps the reason and stops no other, and is asked again with the next order', async () => {
  const api = await apiFixture({ moreFlows: [reviewFlow] });
  const { freezeId, identityIds } = await frozenIdentities(api, 2);
  const [first = '', second = ''] = identityIds;
  const body = { justification: 'narrow it', scopes: ['read'] };
  const other = (await api.as('owner', `/v1/identities/${first}/reviews`, { body })).as(RequestBody);
  await order(api, freezeId);
  while (await round(api, freezeId));
  const { counts, missing } = await standing(api, freezeId);
  expect(counts).toMatchObject({ open: 1, refused: 1 });
  expect(missing[0]).toMatchObject({ identityId: first, standing: 'refused', requestId: null });
  expect(missing[0]?.because).toContain(other.id);
  await api.as('owner', `/v1/requests/${other.id}/cancel`, { body: { reason: 'the freeze asks for one' } });
  await order(api, freezeId);
  while (await round(api, freezeId));
  expect((await standing(api, freezeId)).counts).toMatchObject({ open: 2, refused: 0 });
  for (const identityId of [first, second]) await passReview(api, identityId);
});

test('a round that is interrupted, before an opening or after it, leaves nobody out and asks nobody twice', async () => {
  const api = await apiFixture({ moreFlows: [reviewFlow] });
  const { freezeId, identityIds } = await frozenIdentities(api, 3);
  await order(api, freezeId);
  for (const mode of ['down', 'lost'] as const) {
    api.gateway.mode = mode;
    await expect(round(api, freezeId)).rejects.toThrow();
  }
  api.gateway.mode = 'up';
  while (await round(api, freezeId));
  for (const identityId of identityIds) expect(await reviewsOf(api, identityId)).toHaveLength(1);
  expect((await standing(api, freezeId)).counts).toMatchObject({ waiting: 0, open: 3 });
});

test('a later order takes the place of an earlier one, with what it asks for', async () => {
  const api = await apiFixture({ moreFlows: [reviewFlow] });
  const { freezeId, identityIds } = await frozenIdentities(api, 1);
  const newOwner = emailOf('stranger');
  await order(api, freezeId);
  const { id: earlier } = await api.ledger.prisma.freezeReviewOrder.findFirstOrThrow();
  await order(api, freezeId, { newOwner, reissue: true });
  expect(await askForReviews({ ledger: api.ledger, open: api.gateway.open }, earlier)).toBe(false);
  while (await round(api, freezeId));
  const requestId = await openReviewOf(api, identityIds[0] ?? '');
  expect((await api.as('owner', `/v1/requests/${requestId}`)).as(RequestBody).review).toMatchObject({
    proposal: { freezeId, newOwner, reissue: true },
  });
  await decide(api, 'stranger', requestId);
  expect((await decide(api, 'security-1', requestId)).as(RequestBody).state).toBe('completed');
  expect(await standing(api, freezeId)).toMatchObject({ newOwner, reissue: true, counts: { thawed: 1 } });
});

test('it is a responder’s, and refused where it cannot help', async () => {
  const api = await apiFixture({ moreFlows: [reviewFlow] });
  const { freezeId } = await frozenIdentities(api, 1);
  expect((await order(api, freezeId, {}, 'owner')).slug).toBe('forbidden');
  expect((await order(api, freezeId, { scopes: ['read'] })).slug).toBe('invalid-request');
  expect((await order(api, freezeId, { newOwner: 'nobody@example.com' })).slug).toBe('owner-not-valid');
  expect((await order(api, 'l3vzm6mftpgj5cy2o4xw7rq5na')).slug).toBe('not-found');
  const revoke = { body: { reason: 'all of it is out', confirm: 9 } };
  const revocations = `/v1/freezes/${freezeId}/revocations`;
  const { id } = (await api.as('responder-1', revocations, revoke)).as(MassRevocationBody);
  expect((await order(api, freezeId)).slug).toBe('mass-revocation-running');
  await api.as('responder-1', `${revocations}/${id}/pause`, { body: { reason: 'a false alarm' } });
  await api.as('responder-2', `/v1/freezes/${freezeId}/lift`, { body: { reason: 'no longer needed', override: true } });
  expect((await order(api, freezeId)).slug).toBe('freeze-lifted');
  expect(await api.ledger.prisma.freezeReviewOrder.count()).toBe(0);
});
