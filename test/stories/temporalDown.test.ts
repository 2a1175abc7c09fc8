import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { approve, type RequestView, waitFor } from '../../embedded/demo/apiClient.ts';
import { login, type ServedSecret } from '../../embedded/demo/loginLoop.ts';
import { eventually } from '../setup/eventually.ts';
import { accountRequest, openStage, problemOf, type StoryStage } from './embedded.ts';

let stage: StoryStage;

beforeAll(async () => {
  stage = await openStage();
}, 120_000);
afterAll(() => stage?.close());

test('with Temporal down a freeze and a revocation take effect at once, and a retried POST finds the truth afterwards', {
  timeout: 120_000,
}, async () => {
  const requester = await stage.as('requester');
  const responder = await stage.as('responder');
  const request = await requester.post<RequestView>('/v1/identities', accountRequest());
  await approve(await stage.as('security-1'), request.id);
  await approve(await stage.as('security-2'), request.id);
  await waitFor(requester, request.id, ['completed']);
  const consumer = await stage.asPipeline('deploy');
  const secret = await consumer.get<ServedSecret>(`/v1/identities/${request.identityId}/secret`);

  await stage.runtime.service('Temporal').stop();

  const key = randomUUID();
  const body = accountRequest({ name: 'made-in-the-dark' });
  const token = await stage.runtime.token('requester');
  const onboard = () => postWithKey(`${stage.runtime.apiUrl}/v1/identities`, { token, key, body });
  expect(await onboard()).toBe(503);
  await responder.post('/v1/freezes', { integrations: ['payments'], reason: 'an incident, in the dark' });
  const revocation = await responder.post<RequestView>(`/v1/identities/${request.identityId}/revocation`, {
    justification: 'compromised',
  });
  expect(await problemOf(consumer.get(`/v1/identities/${request.identityId}/secret`))).toBe('revoking');

  await stage.runtime.service('Temporal').start();
  await waitFor(responder, revocation.id, ['completed']);
  await expect(login(stage.runtime.postgres.issuerUrl, secret)).rejects.toMatchObject({ code: '28P01' });
  expect(await stage.loginsAtIssuer(request.identityId)).toEqual([]);
  // The same key: the request is opened once, however often its outcome was unknown.
  await eventually(async () => expect(await onboard()).toBe(202));
  expect(await onboard()).toBe(202);
});

async function postWithKey(
  url: string,
  { token, key, body }: { token: string; key: string; body: object },
): Promise<number> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify(body),
  });
  await response.arrayBuffer();
  return response.status;
}
