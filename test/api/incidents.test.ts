import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { FreezeBody, FreezeDetail, FreezePreview } from '../../api/representations/freeze.ts';
import { IdentityBody } from '../../api/representations/identity.ts';
import { RequestBody } from '../../api/representations/request.ts';
import { reviewFlow } from '../setup/reviews.ts';
import { type ApiFixture, apiFixture, emailOf } from './apiFixture.ts';
import { asked, decide, onboarded, RequestOnIdentity } from './onboarded.ts';

const incident = { reason: 'incident' };

const freeze = (api: ApiFixture, body: object) =>
  api.as('responder-1', '/v1/freezes', { body: { ...incident, ...body } });
const preview = async (api: ApiFixture, query: string) =>
  (await api.as('owner', `/v1/freezes/preview?${query}`)).as(FreezePreview);
const review = (api: ApiFixture, identityId: string, body: object = {}) =>
  api.as('responder-1', `/v1/identities/${identityId}/reviews`, { body: { justification: 'incident', ...body } });

test('a preview says what a freeze would match, by every kind of selector, one or several', async () => {
  const api = await apiFixture();
  const { identityId, requestId } = await onboarded(api);
  await asked(api, { name: 'another', integration: 'mail', labels: { team: 'mail' } });
  const { flow } = (await api.as('owner', `/v1/requests/${requestId}`)).as(RequestBody);
  for (const query of [
    `identityIds=${identityId}`,
    'integrations=payments',
    `labels=${encodeURIComponent('team=billing')}`,
    `connectorIds=${identityId}&integrations=payments`,
  ])
    expect(await preview(api, query), query).toMatchObject({ matches: 'some', matching: 1, live: 2 });
  for (const query of [
    `owners=${emailOf('owner')}`,
    'issuers=main-db',
    'stores=sealed',
    'environments=production',
    `flowVersions=${flow.digest}`,
    'integrations=payments&integrations=mail',
  ])
    expect(await preview(api, query), query).toMatchObject({ matches: 'everything', matching: 2, openRequests: 1 });
  expect(await preview(api, 'integrations=misspelt')).toMatchObject({ matches: 'nothing', sample: [] });
  expect(await preview(api, 'integrations=payments')).toMatchObject({
    usableCredentials: 1,
    sample: [{ identityId, name: 'billing-api', owner: emailOf('owner'), state: 'active' }],
  });
});

test.each([
  ['nothing to select by', ''],
  ['an unknown selector', 'teams=payments'],
  ['a label without a value', 'labels=team'],
  ['a name that no digest has', 'flowVersions=latest'],
  ['the same twice', 'integrations=a&integrations=a'],
])('%s is refused, in a preview as in a freeze', async (_what, query) => {
  const api = await apiFixture();
  expect((await api.as('owner', `/v1/freezes/preview?${query}`)).slug).toBe('invalid-request');
  const body: Record<string, string[]> = {};
  for (const [list, item] of new URLSearchParams(query)) body[list] = [...(body[list] ?? []), item];
  expect((await freeze(api, body)).slug).toBe('invalid-request');
  expect(await api.ledger.prisma.freeze.count()).toBe(0);
});

test('a freeze that matches nothing, or everything, is opened only when the caller says that it is meant', async () => {
  const api = await apiFixture();
  await onboarded(api);
  await asked(api, { name: 'another' });
  for (const [selector, matches, other] of [
    [{ integrations: ['misspelt'] }, 'nothing', 'everything'],
    [{ integrations: ['payments'] }, 'everything', 'nothing'],
  ] as const) {
    const refused = await freeze(api, selector);
    expect([refused.status, refused.slug]).toEqual([409, 'confirmation-required']);
    expect(JSON.parse(refused.text)).toMatchObject({ matches });
    expect((await freeze(api, { ...selector, confirm: other })).slug).toBe('confirmation-required');
    expect((await freeze(api, { ...selector, confirm: matches })).status).toBe(201);
  }
});

test('a retried freeze is not asked for confirmation again, whatever it matches by then', async () => {
  const api = await apiFixture();
  await onboarded(api);
  const call = { body: { integrations: ['payments'], ...incident }, key: randomUUID() };
  const first = (await api.as('responder-1', '/v1/freezes', call)).as(FreezeBody);
  await asked(api, { name: 'another' });
  expect((await api.as('responder-1', '/v1/freezes', call)).as(FreezeBody).id).toBe(first.id);
});

test.each(['PT59S', 'P1M', 'soon', 'P9999D'])('%s is no time to escalate after', async (escalateAfter) => {
  const api = await apiFixture();
  const answer = await freeze(api, { integrations: ['x'], confirm: 'nothing', escalateAfter });
  expect([answer.slug, answer.detail]).toEqual(['invalid-request', expect.stringContaining('body.escalateAfter')]);
});

test('a cancelling freeze ends what waits for approval, and says so', async () => {
  const api = await apiFixture();
  const { id } = await asked(api);
  const { id: freezeId } = (await freeze(api, { integrations: ['payments'], mode: 'cancel' })).as(FreezeBody);
  await api.carryOut(id);
  expect((await api.as('owner', `/v1/requests/${id}`)).as(RequestBody)).toMatchObject({
    state: 'cancelled',
    reason: 'frozen',
  });
  expect((await api.as('owner', `/v1/freezes/${freezeId}`)).as(FreezeDetail).counts).toMatchObject({ cancelled: 1 });
});

test('a subject is reviewed, thaws alone, and the freeze is then lifted without an override', async () => {
  const api = await apiFixture({ moreFlows: [reviewFlow] });
  const { identityId } = await onboarded(api);
  const { id: freezeId } = (await freeze(api, { identityIds: [identityId] })).as(FreezeBody);
  const lift = { body: { reason: 'host rebuilt' } };
  const refused = await api.as('responder-2', `/v1/freezes/${freezeId}/lift`, lift);
  expect([refused.status, refused.slug]).toEqual([409, 'exit-criteria-open']);
  expect(JSON.parse(refused.text)).toMatchObject({ unreviewed: { count: 1, sample: [{ identityId }] } });

  const request = (await review(api, identityId, { freezeId, scopes: ['read'] })).as(RequestOnIdentity);
  expect(request).toMatchObject({ kind: 'review', trigger: 'incident', state: 'awaiting-approval', heldBy: [] });
  expect(request.review.proposal).toEqual({ freezeId, scopes: ['read'], reissue: false });
  const awaiting = (await api.as('owner', '/v1/requests?awaiting=me')).text;
  expect(awaiting).toContain(request.id);
  await decide(api, 'owner', request.id);
  await decide(api, 'security-1', request.id);
  expect((await api.as('owner', `/v1/requests/${request.id}`)).as(RequestBody).state).toBe('completed');
  expect((await api.as('owner', `/v1/identities/${identityId}`)).as(IdentityBody).frozenBy).toEqual([]);
  const lifted = (await api.as('responder-2', `/v1/freezes/${freezeId}/lift`, { ...lift, key: randomUUID() })).as(
    FreezeBody,
  );
  expect(lifted).toMatchObject({ liftedBy: emailOf('responder-2'), liftOverride: false });
});

test('a review names a freeze that holds the identity, an owner who is active, and scopes that it has', async () => {
  const api = await apiFixture({ moreFlows: [reviewFlow] });
  const { identityId } = await onboarded(api);
  const { id: freezeId } = (await freeze(api, { integrations: ['other'], confirm: 'nothing' })).as(FreezeBody);
  expect((await review(api, identityId, { freezeId })).slug).toBe('not-frozen');
  expect((await review(api, identityId, { newOwner: 'nobody@example.com' })).slug).toBe('owner-not-valid');
  expect((await review(api, identityId, { scopes: ['read', 'write'] })).slug).toBe('no-flow');
  expect((await review(api, identityId, { scopes: [] })).slug).toBe('invalid-request');
  const stranger = await api.as('stranger', `/v1/identities/${identityId}/reviews`, { body: { justification: 'me' } });
  expect(stranger.slug).toBe('forbidden');
  expect(await api.ledger.prisma.request.count({ where: { kind: 'review' } })).toBe(0);
});

test('a change of owner opens a review, which the owner to be attests; what it cannot carry is refused', async () => {
  const api = await apiFixture({ moreFlows: [reviewFlow] });
  const { identityId } = await onboarded(api);
  const change = (body: object) =>
    api.as('owner', `/v1/identities/${identityId}/changes`, { body: { reason: 'a new team', ...body } });
  const owner = emailOf('stranger');
  expect((await change({ owner, consumers: [] })).slug).toBe('invalid-request');
  const answer = await change({ owner });
  expect(answer.status).toBe(202);
  const request = answer.as(RequestBody);
  expect(answer.headers.get('location')).toBe(`/v1/requests/${request.id}`);
  expect(request).toMatchObject({ kind: 'review', trigger: 'owner-change' });
  await decide(api, 'stranger', request.id);
  expect((await api.as('owner', `/v1/identities/${identityId}`)).as(IdentityBody).owner).toBe(emailOf('owner'));
  await decide(api, 'security-1', request.id);
  expect((await api.as('owner', `/v1/identities/${identityId}`)).as(IdentityBody).owner).toBe(owner);
});

test('resuming what a freeze holds says which freeze remains', async () => {
  const api = await apiFixture();
  const { identityId } = await onboarded(api);
  const { id: freezeId } = (await freeze(api, { identityIds: [identityId] })).as(FreezeBody);
  const rotation = (
    await api.as('owner', `/v1/identities/${identityId}/rotations`, { body: { justification: 'due' } })
  ).as(RequestBody);
  expect(rotation.state).toBe('held');
  const resumed = await api.as('responder-1', `/v1/requests/${rotation.id}/resume`, {
    body: { reason: 'go on', all: true },
  });
  expect([resumed.slug, resumed.detail]).toEqual(['not-paused', expect.stringContaining(freezeId)]);
});
