import { expect, test } from 'vitest';
import { z } from 'zod';
import { IdentityBody } from '../../api/representations/identity.ts';
import { assertionOf, insertAgent, insertAgentKey, newAgentKey } from '../setup/agents.ts';
import { type ApiFixture, apiFixture } from './apiFixture.ts';
import { asked } from './onboarded.ts';

async function agentWithKey(api: ApiFixture, alg?: string) {
  const key = await newAgentKey(alg);
  const identityId = await insertAgent(api.ledger, { registration: { publicKey: key.publicKey } });
  return { identityId, key, audience: api.publicUrl };
}

test.each(['ES256', 'RS256', 'PS256', 'EdDSA'])('an agent is known by an assertion of its %s key', async (alg) => {
  const api = await apiFixture();
  const agent = await agentWithKey(api, alg);
  const token = await assertionOf(agent, { header: { alg } });
  expect((await api.send(token, `/v1/identities/${agent.identityId}`)).as(IdentityBody).id).toBe(agent.identityId);
});

test('an agent is known by a token of its workload', async () => {
  const api = await apiFixture();
  const oidc = { provider: 'workloads', subject: 'spiffe://example.com/search' };
  const identityId = await insertAgent(api.ledger, { registration: { oidc } });
  const tokenOf = (claims: object) => api.provider.token({ aud: 'tenure-agents', sub: oidc.subject, ...claims });
  for (const _repeated of [1, 2])
    expect((await api.send(await tokenOf({}), `/v1/identities/${identityId}`)).status).toBe(200);
  for (const claims of [{ sub: 'spiffe://example.com/other' }, { sub: undefined }, { aud: 'tenure-pipelines' }]) {
    const answer = await api.send(await tokenOf(claims), `/v1/identities/${identityId}`);
    expect(answer.status).not.toBe(200);
  }
  await insertAgent(api.ledger, { registration: { oidc } });
  expect((await api.send(await tokenOf({}), `/v1/identities/${identityId}`)).slug).toBe('unauthenticated');
});

test('while a key is rotated the old and the new one both count', async () => {
  const api = await apiFixture();
  const old = await agentWithKey(api);
  const fresh = { ...old, key: await newAgentKey() };
  const next = { identityId: old.identityId, version: 2, registration: { publicKey: fresh.key.publicKey } };
  await api.ledger.prisma.credential.updateMany({ where: { identityId: old.identityId }, data: { state: 'retiring' } });
  await insertAgentKey(api.ledger, next);
  for (const agent of [old, fresh])
    expect((await api.send(await assertionOf(agent), `/v1/identities/${old.identityId}`)).status).toBe(200);
});

test('an agent sees itself and nothing of others', async () => {
  const api = await apiFixture();
  const agent = await agentWithKey(api);
  const { identityId: another, id: itsRequest } = await asked(api);
  const get = async (path: string) => await api.send(await assertionOf(agent), path);

  const own = z.object({ items: z.array(z.object({ identityId: z.string() })) });
  const requests = (await get('/v1/requests')).as(own).items;
  expect(requests.map(({ identityId }) => identityId)).toEqual([agent.identityId]);
  expect((await get(`/v1/requests?identityId=${another}`)).slug).toBe('not-found');
  expect((await get(`/v1/requests/${itsRequest}`)).slug).toBe('not-found');
  expect((await get(`/v1/identities/${another}`)).slug).toBe('not-found');
  expect((await get('/v1/identities')).slug).toBe('forbidden');
  expect((await get('/v1/freezes')).slug).toBe('forbidden');
});
