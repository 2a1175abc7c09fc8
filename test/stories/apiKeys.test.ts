import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ApiClient, type RequestView, waitFor } from '../../embedded/demo/apiClient.ts';
import type { ServedSecret } from '../../embedded/demo/loginLoop.ts';
import { accountRequest, openStage, problemOf, type StoryStage } from './embedded.ts';

let stage: StoryStage;
let pipeline: ApiClient;

beforeAll(async () => {
  stage = await openStage();
  pipeline = await stage.asPipeline('deploy', { triggeredBy: 'requester' });
}, 120_000);
afterAll(() => stage?.close());

interface Verification {
  readonly active: boolean;
  readonly because?: string;
  readonly [field: string]: unknown;
}

const verify = (key: string) => pipeline.post<Verification>('/v1/keys/verify', { key });
const served = (identityId: string) => pipeline.get<ServedSecret>(`/v1/identities/${identityId}/secret`);

async function onboarded(change: object): Promise<string> {
  const requester = await stage.as('requester');
  const key = { kind: 'api-key', issuer: 'keys', environment: 'staging', ...change };
  const { id, identityId } = await requester.post<RequestView>('/v1/identities', accountRequest(key));
  await waitFor(requester, id, ['completed']);
  return identityId;
}

test('a key is verified with its identity and scopes, both versions while it rotates, and the old one no more after', async () => {
  const identityId = await onboarded({ name: 'order-export' });
  const old = await served(identityId);
  expect(old.value).toMatch(/^tenure_[0-9A-Za-z]{46}$/);
  expect(await verify(old.value)).toMatchObject({
    active: true,
    identityId,
    name: 'order-export',
    kind: 'api-key',
    environment: 'staging',
    integration: 'payments',
    scopes: ['orders:read'],
    version: 1,
  });

  const rotation = await pipeline.post<RequestView>(`/v1/identities/${identityId}/rotations`, {
    justification: 'release 43 is deployed',
  });
  await waitFor(pipeline, rotation.id, ['awaiting-consumers']);
  const fresh = await served(identityId);
  expect([await verify(old.value), await verify(fresh.value)]).toMatchObject([
    { active: true, version: 1 },
    { active: true, version: 2 },
  ]);
  await pipeline.post(`/v1/identities/${identityId}/acknowledgements`, { epoch: fresh.epoch });
  await waitFor(pipeline, rotation.id, ['completed']);
  expect([await verify(old.value), await verify(fresh.value)]).toMatchObject([
    { active: false },
    { active: true, version: 2 },
  ]);
});

test('a freeze and a revocation make a key inactive at once; narrowing takes its scopes at once', async () => {
  const identityId = await onboarded({
    name: 'order-sync',
    integration: 'payments',
    scopes: ['orders:read', 'orders:write'],
  });
  const { value } = await served(identityId);
  const responder = await stage.as('responder');

  const freeze = await responder.post<{ id: string }>('/v1/freezes', { identityIds: [identityId], reason: 'a leak' });
  expect(await verify(value)).toEqual({ active: false, because: 'frozen', identityId });
  const lift = { reason: 'a false alarm', override: true };
  await (await stage.as('responder-2')).post(`/v1/freezes/${freeze.id}/lift`, lift);
  expect(await verify(value)).toMatchObject({ active: true, scopes: ['orders:read', 'orders:write'] });

  const owner = await stage.as('owner');
  await owner.post(`/v1/identities/${identityId}/changes`, { scopes: ['orders:read'], reason: 'it only reads' });
  expect(await verify(value)).toMatchObject({ active: true, scopes: ['orders:read'] });

  await responder.post(`/v1/identities/${identityId}/revocation`, { justification: 'it was a leak' });
  expect(await verify(value)).toMatchObject({ active: false });
});

test('what is no key, a mistyped key, and a key of an identity that the caller may not verify are told apart by nobody', async () => {
  const identityId = await onboarded({ name: 'ledger-export', integration: 'ledger' });
  const { value } = await served(identityId);
  const last = value.endsWith('a') ? 'b' : 'a';
  const unknown = ['no key', `${value.slice(0, -1)}${last}`, `tenure_${'0'.repeat(46)}`, value];
  for (const key of unknown) expect(await verify(key)).toEqual({ active: false, because: 'unknown' });
});

test('people and callers without sign-in verify nothing', async () => {
  const person = await stage.as('requester');
  expect(await problemOf(person.post('/v1/keys/verify', { key: 'a key' }))).toBe('forbidden');
  const answer = await fetch(`${stage.runtime.apiUrl}/v1/keys/verify`, { method: 'POST' });
  expect(answer.status).toBe(401);
});
