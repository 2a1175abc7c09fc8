import { afterAll, beforeAll, expect, test } from 'vitest';
import { approve, type RequestView, waitFor } from '../../embedded/demo/apiClient.ts';
import { login, type ServedSecret, startLoginLoop } from '../../embedded/demo/loginLoop.ts';
import { accountRequest, openStage, problemOf, type StoryStage } from './embedded.ts';

let stage: StoryStage;

beforeAll(async () => {
  stage = await openStage();
}, 120_000);
afterAll(() => stage?.close());

async function onboarded(change: object = {}): Promise<string> {
  const requester = await stage.as('requester');
  const request = await requester.post<RequestView>('/v1/identities', accountRequest(change));
  await approve(await stage.as('security-1'), request.id);
  await approve(await stage.as('security-2'), request.id);
  await waitFor(requester, request.id, ['completed']);
  return request.identityId;
}

test('a pipeline rotates after a deployment, with the approval its flow asks for, under a client that never fails', async () => {
  const identityId = await onboarded();
  const pipeline = await stage.asPipeline('deploy', { triggeredBy: 'security-1' });
  const before = await pipeline.get<ServedSecret>(`/v1/identities/${identityId}/secret`);
  const client = startLoginLoop(pipeline, identityId, stage.runtime.postgres.issuerUrl);

  const request = await pipeline.post<RequestView>(`/v1/identities/${identityId}/rotations`, {
    justification: 'release 42 is deployed',
  });
  expect(request.state).toBe('awaiting-approval');
  // The person behind the pipeline is resolved first: a machine does not hide its own approver.
  expect(await problemOf(approve(await stage.as('security-1'), request.id))).toBe('self-approval');
  await approve(await stage.as('security-2'), request.id);
  await waitFor(pipeline, request.id, ['awaiting-consumers']);

  const after = await pipeline.get<ServedSecret>(`/v1/identities/${identityId}/secret`);
  expect(after.version).toBe(before.version + 1);
  await login(stage.runtime.postgres.issuerUrl, before);
  await pipeline.post(`/v1/identities/${identityId}/acknowledgements`, { epoch: after.epoch });
  await waitFor(pipeline, request.id, ['completed']);
  await client.stop();

  expect(client.failure).toBeUndefined();
  expect([...client.succeeded.keys()].sort()).toEqual([before.version, after.version]);
  await expect(login(stage.runtime.postgres.issuerUrl, before)).rejects.toMatchObject({ code: '28P01' });
  expect(await stage.loginsAtIssuer(identityId)).toEqual([after.login]);
});

test('a pipeline rotates only what tenure.yaml lets it rotate', async () => {
  const identityId = await onboarded({ name: 'ledger-service', integration: 'ledger' });
  const pipeline = await stage.asPipeline('deploy');
  const call = pipeline.post(`/v1/identities/${identityId}/rotations`, { justification: 'not mine' });
  expect(await problemOf(call)).toBe('forbidden');
});
