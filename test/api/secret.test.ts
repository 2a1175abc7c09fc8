import { expect, test } from 'vitest';
import { z } from 'zod';
import { CredentialBody } from '../../api/representations/identity.ts';
import { apiFixture, emailOf } from './apiFixture.ts';
import { asked, onboarded } from './onboarded.ts';

const Timeline = z.object({
  items: z.array(z.object({ kind: z.string(), actor: z.string() })),
  nextCursor: z.string().nullable(),
});

test('a registered consumer reads what the store serves, uncached, and the evidence is there first', async () => {
  const api = await apiFixture();
  const { identityId } = await onboarded(api);
  const answer = await api.send(await api.pipelineToken(), `/v1/identities/${identityId}/secret`);
  expect(JSON.parse(answer.text)).toEqual({
    identityId,
    version: 1,
    epoch: 1,
    handle: `${identityId}-v1`,
    login: `login_${identityId}-v1`,
    value: 'canary-secret-value',
  });
  expect(answer.headers.get('cache-control')).toBe('no-store');
  const timeline = (await api.as('owner', `/v1/identities/${identityId}/timeline?limit=200`)).as(Timeline);
  expect(timeline.items.at(-1)).toMatchObject({ kind: 'secret.read-allowed', actor: 'pipeline:deploy' });
});

test('nobody else reads it: not the owner, not a responder, not an administrator', async () => {
  const api = await apiFixture();
  const { identityId } = await onboarded(api);
  for (const person of ['owner', 'responder-1', 'admin', 'auditor'] as const) {
    const answer = await api.as(person, `/v1/identities/${identityId}/secret`);
    expect([answer.status, answer.slug]).toEqual([403, 'not-a-consumer']);
  }
});

test('before the first credential there is nothing to serve', async () => {
  const api = await apiFixture();
  const { identityId } = await asked(api);
  expect((await api.send(await api.pipelineToken(), `/v1/identities/${identityId}/secret`)).slug).toBe('no-secret');
});

test('a tombstone in the store is nothing to serve', async () => {
  const api = await apiFixture();
  const { identityId } = await onboarded(api);
  api.store.values.set(identityId, { kind: 'tombstone', epoch: 2 });
  expect((await api.send(await api.pipelineToken(), `/v1/identities/${identityId}/secret`)).slug).toBe('no-secret');
});

test('a revocation that commits while the store is being read keeps the value from leaving', async () => {
  const api = await apiFixture();
  const { identityId } = await onboarded(api);
  api.store.whileReading = () =>
    api.as('responder-1', `/v1/identities/${identityId}/revocation`, { body: { justification: 'incident' } });
  const answer = await api.send(await api.pipelineToken(), `/v1/identities/${identityId}/secret`);
  expect([answer.status, answer.slug]).toEqual([409, 'revoking']);
  expect(answer.text).not.toContain('canary-secret-value');
});

test('a store that does not answer is said to be the store, and can be asked again', async () => {
  const api = await apiFixture();
  const { identityId } = await onboarded(api);
  api.store.whileReading = () => Promise.reject(Object.assign(new Error('no answer'), { name: 'StoreUnavailable' }));
  const answer = await api.send(await api.pipelineToken(), `/v1/identities/${identityId}/secret`);
  expect([answer.status, answer.slug]).toEqual([503, 'store-unavailable']);
});

test('a version that is being destroyed is not served, whatever the store still holds', async () => {
  const api = await apiFixture();
  const { identityId } = await onboarded(api);
  await api.ledger.prisma.credential.update({
    where: { identityId_version: { identityId, version: 1 } },
    data: { state: 'destroying', destroyingAt: new Date() },
  });
  expect((await api.send(await api.pipelineToken(), `/v1/identities/${identityId}/secret`)).slug).toBe('revoking');
});

test('a consumer acknowledges the epoch that is served, once, and no other', async () => {
  const api = await apiFixture();
  const { identityId } = await onboarded(api);
  const token = await api.pipelineToken();
  const acknowledge = (epoch: number) =>
    api.send(token, `/v1/identities/${identityId}/acknowledgements`, { body: { epoch } });
  expect((await acknowledge(1)).status).toBe(201);
  expect((await acknowledge(1)).status).toBe(201);
  expect((await acknowledge(2)).slug).toBe('wrong-epoch');
  expect((await api.as('owner', `/v1/identities/${identityId}/acknowledgements`, { body: { epoch: 1 } })).slug).toBe(
    'not-a-consumer',
  );
  expect(await api.ledger.prisma.acknowledgement.count()).toBe(1);
});

test('credentials are listed without any value', async () => {
  const api = await apiFixture();
  const { identityId } = await onboarded(api);
  const answer = await api.as('owner', `/v1/identities/${identityId}/credentials`);
  expect(answer.as(z.object({ items: z.array(CredentialBody), nextCursor: z.null() })).items).toMatchObject([
    { version: 1, state: 'current', isServed: true, receipt: null },
  ]);
  expect(answer.text).not.toContain('canary');
});

test('neither tokens nor secrets nor bodies reach the log, whatever goes wrong', async () => {
  const api = await apiFixture();
  const { identityId } = await onboarded(api);
  const token = await api.pipelineToken();
  await api.send(token, `/v1/identities/${identityId}/secret?token=canary-in-query`);
  await api.send(token, `/v1/identities/${identityId}/secret`);
  await api.send(`${token}x`, `/v1/identities/${identityId}/secret`);
  await api.as('requester', '/v1/identities', { raw: '{"justification": "canary-in-body"' });
  await api.as('requester', '/v1/identities', {
    body: { justification: 'canary-in-body' },
    headers: { cookie: 'session=canary-in-cookie' },
  });
  api.store.whileReading = () =>
    Promise.reject(new Error(`connect postgres://tenure:canary-password@db/tenure refused; Bearer ${token}`));
  expect((await api.send(token, `/v1/identities/${identityId}/secret`)).slug).toBe('internal');
  const log = api.logLines.join('');
  expect(log).toContain('"msg":"request failed"');
  for (const canary of ['canary', token.slice(0, 40), emailOf('requester')]) expect(log).not.toContain(canary);
});

test('a log line names the request that its answer names', async () => {
  const api = await apiFixture();
  const answer = await api.as('owner', '/v1/freezes');
  const id = answer.headers.get('x-request-id');
  expect(api.logLines.filter((line) => line.includes(String(id))).map((line) => JSON.parse(line))).toMatchObject([
    { level: 'info', requestId: id, req: { method: 'GET', path: '/v1/freezes' }, res: { status: 200 } },
  ]);
});
