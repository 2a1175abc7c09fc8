import { afterAll, beforeAll, expect, test } from 'vitest';
import { approve, type RequestView, waitFor } from '../../embedded/demo/apiClient.ts';
import { login, type ServedSecret } from '../../embedded/demo/loginLoop.ts';
import { accountRequest, openStage, problemOf, type StoryStage } from './embedded.ts';

let stage: StoryStage;

beforeAll(async () => {
  stage = await openStage();
}, 120_000);
afterAll(() => stage?.close());

test.each([
  ['ownership', { name: 'a', owner: 'requester@tenure.example' }, 'owner-not-valid'],
  ['environment', { name: 'b', labels: { environment: 'staging' } }, 'environment-mismatch'],
  ['expiration', { name: 'c', expiresAt: new Date(Date.now() + 200 * 86_400_000).toISOString() }, 'expiry-too-far'],
])('an account whose %s does not pass is denied, and no credential ever exists', async (_what, change, reason) => {
  const requester = await stage.as('requester');
  const request = await requester.post<RequestView>('/v1/identities', accountRequest(change));
  expect(request).toMatchObject({ state: 'denied', reason });
  expect(await stage.loginsAtIssuer(request.identityId)).toEqual([]);
});

test('a platform team gets a service account only after ownership, environment, expiry and two approvals', async () => {
  const requester = await stage.as('requester');
  const request = await requester.post<RequestView>('/v1/identities', accountRequest());
  expect(request.state).toBe('awaiting-approval');
  expect(await stage.loginsAtIssuer(request.identityId)).toEqual([]);

  expect(await problemOf(approve(requester, request.id))).toBe('self-approval');
  expect(await problemOf(approve(await stage.as('owner'), request.id))).toBe('self-approval');
  expect(await problemOf(approve(await stage.as('responder'), request.id))).toBe('not-eligible');
  await approve(await stage.as('security-1'), request.id);
  expect(await problemOf(approve(await stage.as('security-1'), request.id))).toBe('already-decided');
  expect(await stage.loginsAtIssuer(request.identityId)).toEqual([]);

  await approve(await stage.as('security-2'), request.id);
  await waitFor(requester, request.id, ['completed']);
  expect(await stage.loginsAtIssuer(request.identityId)).toHaveLength(1);

  const consumer = await stage.asPipeline('deploy');
  const secret = await consumer.get<ServedSecret>(`/v1/identities/${request.identityId}/secret`);
  await login(stage.runtime.postgres.issuerUrl, secret);
  expect(await problemOf(requester.get(`/v1/identities/${request.identityId}/secret`))).toBe('not-a-consumer');
});
