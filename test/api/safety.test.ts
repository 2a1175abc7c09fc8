import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { FreezeBody, FreezeDetail } from '../../api/representations/freeze.ts';
import { IdentityBody } from '../../api/representations/identity.ts';
import { RequestBody } from '../../api/representations/request.ts';
import { apiFixture, emailOf } from './apiFixture.ts';
import { asked, onboarded } from './onboarded.ts';

test('freeze, pause, cancel and a responder’s revocation are accepted while Temporal is down', async () => {
  const api = await apiFixture();
  const { identityId } = await onboarded(api);
  const { id } = await asked(api, { name: 'second' });
  api.gateway.mode = 'down';
  const freeze = await api.as('responder-1', '/v1/freezes', {
    body: { integrations: ['payments'], confirm: 'everything', reason: 'incident' },
  });
  const pause = await api.as('responder-1', `/v1/requests/${id}/pause`, { body: { reason: 'incident' } });
  const cancel = await api.as('requester', `/v1/requests/${id}/cancel`, { body: { reason: 'incident' } });
  const revocation = await api.as('responder-1', `/v1/identities/${identityId}/revocation`, {
    body: { justification: 'incident' },
  });
  expect([freeze.status, pause.status, cancel.status, revocation.status]).toEqual([201, 200, 200, 202]);
  expect((await api.as('owner', `/v1/identities/${identityId}`)).as(IdentityBody).state).toBe('revoking');
});

test('a freeze holds what matches, shows what is still usable, and is lifted by another responder only', async () => {
  const api = await apiFixture();
  const { identityId } = await onboarded(api);
  const freeze = (
    await api.as('responder-1', '/v1/freezes', { body: { identityIds: [identityId], reason: 'incident' } })
  ).as(FreezeBody);
  const detail = (await api.as('owner', `/v1/freezes/${freeze.id}`)).as(FreezeDetail);
  expect(detail).toMatchObject({ matchingIdentities: 1, stillUsable: [{ identityId, version: 1, state: 'current' }] });
  expect((await api.as('owner', `/v1/identities/${identityId}`)).as(IdentityBody).frozenBy).toMatchObject([
    { freezeId: freeze.id },
  ]);
  const lift = { body: { reason: 'host rebuilt', override: true } };
  expect((await api.as('responder-1', `/v1/freezes/${freeze.id}/lift`, lift)).slug).toBe('second-responder');
  expect((await api.as('responder-2', `/v1/freezes/${freeze.id}/lift`, lift)).as(FreezeBody).liftedBy).toBe(
    emailOf('responder-2'),
  );
  expect((await api.as('owner', `/v1/identities/${identityId}`)).as(IdentityBody).frozenBy).toEqual([]);
});

test('a retried freeze is the same freeze', async () => {
  const api = await apiFixture();
  const call = { body: { integrations: ['payments'], confirm: 'nothing', reason: 'incident' }, key: randomUUID() };
  const first = (await api.as('responder-1', '/v1/freezes', call)).as(FreezeBody);
  expect((await api.as('responder-1', '/v1/freezes', call)).as(FreezeBody).id).toBe(first.id);
  expect(await api.ledger.prisma.freeze.count()).toBe(1);
});

test('a freeze of nothing is refused', async () => {
  const api = await apiFixture();
  expect((await api.as('responder-1', '/v1/freezes', { body: { reason: 'incident' } })).slug).toBe('invalid-request');
});

test('a pause holds the request until the one who paused resumes it, or a responder lifts all', async () => {
  const api = await apiFixture();
  const { id } = await asked(api);
  const verb = (person: 'owner' | 'requester' | 'responder-1' | 'stranger', name: string, body: object = {}) =>
    api.as(person, `/v1/requests/${id}/${name}`, { body: { reason: 'looking at it', ...body } });
  expect((await verb('stranger', 'pause')).slug).toBe('forbidden');
  expect((await verb('owner', 'pause')).as(RequestBody).heldBy).toMatchObject([
    { kind: 'pause', by: emailOf('owner') },
  ]);
  expect((await verb('requester', 'resume')).slug).toBe('not-paused');
  expect((await verb('requester', 'resume', { all: true })).slug).toBe('forbidden');
  expect((await verb('responder-1', 'resume', { all: true })).as(RequestBody).heldBy).toEqual([]);
});

test('a command repeated with its key is carried out once', async () => {
  const api = await apiFixture();
  const { id } = await asked(api);
  const call = { body: { reason: 'not needed' }, key: randomUUID() };
  const first = (await api.as('requester', `/v1/requests/${id}/cancel`, call)).as(RequestBody);
  const second = (await api.as('requester', `/v1/requests/${id}/cancel`, call)).as(RequestBody);
  expect([first.state, second.sequence]).toEqual(['cancelled', first.sequence]);
  expect((await api.as('requester', `/v1/requests/${id}/cancel`, { body: { reason: 'again' } })).slug).toBe(
    'request-closed',
  );
});

test('what the state does not allow is refused with its own word', async () => {
  const api = await apiFixture();
  const { id } = await asked(api);
  const verb = async (name: string, body: object) =>
    (await api.as('admin', `/v1/requests/${id}/${name}`, { body: { reason: 'try', ...body } })).slug;
  expect(await verb('retry', {})).toBe('not-stuck');
  expect(await verb('rollback', {})).toBe('not-rollbackable');
  expect(await verb('resolution', { version: 1 })).toBe('not-stuck');
  expect(await verb('resume', {})).toBe('not-paused');
});

test("the owner's revocation goes through its flow, a responder's takes effect at once", async () => {
  const api = await apiFixture();
  const { identityId } = await onboarded(api);
  const path = `/v1/identities/${identityId}/revocation`;
  const waiting = (await api.as('owner', path, { body: { justification: 'retired' } })).as(RequestBody);
  expect(waiting.state).toBe('awaiting-approval');
  expect((await api.as('owner', `/v1/identities/${identityId}`)).as(IdentityBody).state).toBe('active');
  await api.as('responder-1', path, { body: { justification: 'incident' } });
  expect((await api.as('owner', `/v1/identities/${identityId}`)).as(IdentityBody).state).toBe('revoking');
});

test('after a command the workflow is told', async () => {
  const api = await apiFixture();
  const { id } = await asked(api);
  await api.as('requester', `/v1/requests/${id}/pause`, { body: { reason: 'wait' } });
  expect(api.gateway.nudged).toContain(id);
});
