import { randomUUID } from 'node:crypto';
import { calculateJwkThumbprint, createRemoteJWKSet, exportJWK, jwtVerify } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { StepUpOrderBody } from '../../api/routes/stepUps.ts';
import { agentConfirmation } from '../../integrations/agent/agentTokens.ts';
import { stepUpClient } from '../../integrations/agent/stepUpClient.ts';
import { liftFreeze, openFreeze } from '../../ledger/freezes.ts';
import { installationApi } from '../setup/installationApi.ts';
import { type ActingAgent, ask, callsOf, refusalsOf, type SteppingUp, steppingUp } from '../setup/steppingUp.ts';

let on: SteppingUp;
let agent: ActingAgent;
beforeAll(async () => {
  on = await steppingUp();
  agent = await on.newAgent();
});
afterAll(() => on?.close());

const risky = (onBehalfOf: NonNullable<StepUpOrderBody['onBehalfOf']>) =>
  ask({ action: 'write', workspace: 'production/eu', onBehalfOf });
const grants = (identityId: string) => on.installation.ledger.prisma.accessGrant.count({ where: { identityId } });

test('low risk within policy: granted in one round trip, for ten minutes, bound to the key of the proof', async () => {
  const { status, body, headers } = await on.askFor(agent);
  expect(status).toBe(200);
  expect(body).toMatchObject({
    outcome: 'granted',
    state: 'completed',
    risk: { score: 10, contributions: [{ add: 10, because: 'nobody stands behind it' }] },
    grant: { tokenType: 'DPoP', scope: 'search:read', audience: 'https://search.example.com' },
  });
  expect(headers.get('location')).toBe(`/v1/step-ups/${body.id}`);
  expect(headers.get('cache-control')).toBe('no-store');
  const keys = createRemoteJWKSet(new URL('/.well-known/jwks.json', on.api.address));
  const { payload } = await jwtVerify(body.grant?.accessToken ?? '', keys, { issuer: on.api.publicUrl, typ: 'at+jwt' });
  expect(payload).toMatchObject({
    aud: 'https://search.example.com',
    scope: 'search:read',
    sub: agent.id,
    jti: body.id,
    cnf: { jkt: await calculateJwkThumbprint(agent.possession.publicJwk) },
    tenure_resource: 'orders/1',
    tenure_workspace: 'payments',
  });
  expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(600);
});

test('its agent reads it again, with the token, for as long as the grant stands', async () => {
  const { body } = await on.askFor(agent, ask({ ttl: 'PT1M' }));
  const read = await on.look(agent, body.id);
  expect(read.body).toMatchObject({ outcome: 'granted', grant: { scope: 'search:read' } });
  expect(read.body.grant?.expiresIn).toBeLessThanOrEqual(60);
  await on.installation.ledger.prisma.accessGrant.update({
    where: { requestId: body.id },
    data: { revokedAt: new Date(), revokedBy: 'a test', revokedBecause: 'a test' },
  });
  const revoked = await on.look(agent, body.id);
  expect(revoked.body).toMatchObject({ outcome: 'granted', reason: 'grant-revoked' });
  expect(revoked.body.grant).toBeUndefined();
});

test('the same key finds the same grant, with a new proof by the same DPoP key, and no other ask', async () => {
  const before = await grants(agent.identityId);
  const key = randomUUID();
  const first = await on.askFor(agent, ask(), { key });
  const again = await on.askFor(agent, ask(), { key });
  expect(again.body).toMatchObject({ id: first.body.id, outcome: 'granted' });
  expect(await grants(agent.identityId)).toBe(before + 1);
  expect(await on.askFor(agent, ask({ resource: 'orders/2' }), { key })).toMatchObject({
    status: 422,
    slug: 'key-reused',
  });
  const other = { ...agent, possession: (await on.newAgent()).possession };
  expect(await on.askFor(other, ask(), { key })).toMatchObject({ status: 422, slug: 'key-reused' });
});

test('a person who showed it is the subject of the token; one who is only named is marked so', async () => {
  const token = await on.api.tokenForAgents('requester');
  const shown = await on.askFor(agent, ask({ onBehalfOf: { token } }));
  expect(shown.body.risk.score).toBe(0);
  const claims = (accessToken = '') => JSON.parse(Buffer.from(accessToken.split('.')[1] ?? '', 'base64url').toString());
  expect(claims(shown.body.grant?.accessToken)).toMatchObject({
    sub: 'requester@tenure.example',
    act: { sub: agent.id },
  });
  const named = await on.askFor(agent, ask({ onBehalfOf: { person: 'requester@tenure.example' } }));
  expect(named.body.risk.contributions).toEqual([{ add: 15, because: 'only the agent says for whom it acts' }]);
  expect(claims(named.body.grant?.accessToken)).toMatchObject({
    sub: agent.id,
    asserted_sub: 'requester@tenure.example',
  });
});

test('high risk waits for the person, then for security; the agent waits with it and gets the token', async () => {
  const asked = await on.askFor(agent, risky({ token: await on.api.tokenForAgents('requester') }));
  const { id } = asked.body;
  const url = `${on.api.publicUrl}/v1/requests/${id}`;
  expect(asked.body).toMatchObject({
    outcome: 'pending',
    state: 'awaiting-proof',
    awaiting: [{ what: 'confirmation', stage: 'confirm', of: 'requester@tenure.example', url }],
  });
  expect(asked.body.grant).toBeUndefined();
  const waiting = on.look(agent, id, 30);
  interface Shown {
    revision: number;
    digest: string;
    stage: string;
    review: { stepUp: object };
  }
  const shown = () => on.api.as<Shown>('requester', `/v1/requests/${id}`);
  const { revision, digest, stage, review } = await shown();
  expect(review.stepUp).toMatchObject({ tool: 'search', action: 'write', workspace: 'production/eu' });
  await on.api.as('requester', `/v1/requests/${id}/proofs`, { stage, revision, digest });
  const forSecurity = await shown();
  const { revision: seen, digest: read } = forSecurity;
  expect((await on.look(agent, id)).body.awaiting).toMatchObject([{ what: 'approval', of: 'group:security' }]);
  await on.api.as('security-1', `/v1/requests/${id}/decisions`, {
    ...{ verdict: 'approve', revision: seen, digest: read },
  });
  expect((await waiting).body).toMatchObject({ outcome: 'granted', grant: { scope: 'search:write' } });
});

test('where publicUrl has a path, agents and the API mean the same addresses', async () => {
  const api = await installationApi(on.installation, { publicPath: '/tenure' });
  expect(api.publicUrl).toMatch(/^http:.*:\d+\/tenure$/);
  const { id, authentication, possession } = agent;
  const keys = {
    authentication: { ...(await exportJWK(authentication.privateKey)), alg: 'ES256' },
    possession: { ...possession.privateKey.export({ format: 'jwk' }), alg: 'ES256' },
  };
  const client = stepUpClient({ url: api.publicUrl, agentId: id, keys });
  const order = (workspace: string) => ({
    ...{ tool: 'search', action: 'read', resource: 'orders/1' },
    workspace,
    justification: 'the tests want it',
  });
  expect(await client.ask(order('payments'), randomUUID())).toMatchObject({ outcome: 'granted' });
  const asked = await client.ask(order('keyed'), randomUUID());
  const url = `${api.publicUrl}/v1/requests/${asked.id}`;
  expect(asked.awaiting).toMatchObject([{ what: 'agent-key', url }]);
  await client.confirm(asked.id, randomUUID());
  expect(await client.look(asked.id)).toMatchObject({ outcome: 'granted' });
  // A proof for the address without the path is for another address.
  const dpop = on.proofOf(agent, { htu: `${new URL(api.publicUrl).origin}/v1/step-ups` });
  expect((await callsOf(api).askFor(agent, ask(), { dpop })).slug).toBe('invalid-dpop-proof');
  await api.close();
});

test('outside policy is denied with the reason, whoever stands behind it, and leaves no grant', async () => {
  const before = await grants(agent.identityId);
  const onBehalfOf = { token: await on.api.tokenForAgents('security-lead') };
  for (const [change, reason] of [
    [{ tool: 'mail', action: 'send' }, 'action-outside-policy'],
    [{ resource: 'invoices/1' }, 'resource-outside-policy'],
    [{ workspace: 'elsewhere' }, 'workspace-outside-policy'],
  ] as const) {
    const { body } = await on.askFor(agent, ask({ ...change, onBehalfOf }));
    expect(body).toMatchObject({ outcome: 'denied', state: 'denied', reason });
    expect(body.grant).toBeUndefined();
  }
  expect(await grants(agent.identityId)).toBe(before);
});

test('an agent proves with its key what it was shown', async () => {
  const { body } = await on.askFor(agent, ask({ workspace: 'keyed' }));
  expect(body.awaiting).toMatchObject([{ what: 'agent-key', of: agent.id }]);
  const path = `/v1/requests/${body.id}`;
  const { revision, digest } = (await on.call<{ revision: number; digest: string }>(agent, path)).body;
  const jwk = { ...(await exportJWK(agent.authentication.privateKey)), alg: 'ES256' };
  const keys = { authentication: jwk, possession: jwk };
  const confirmed = { agentId: agent.id, audience: on.api.publicUrl, digest, keys };
  const key = randomUUID();
  const proof = await agentConfirmation(confirmed);
  const proven = await on.call<{ state: string }>(agent, `${path}/proofs`, { body: { revision, digest, proof }, key });
  expect(proven.body).toMatchObject({ state: 'completed' });
  const repeat = await agentConfirmation(confirmed);
  const again = await on.call<object>(agent, `${path}/proofs`, { body: { revision, digest, proof: repeat }, key });
  expect(again.status).toBe(200);
  expect((await on.look(agent, body.id)).body).toMatchObject({ outcome: 'granted', grant: { scope: 'search:read' } });
});

test('a freeze refuses the agent at once, holds what waits, and lets it go on afterwards', async () => {
  const frozen = await on.newAgent();
  const { ledger } = on.installation;
  const { body } = await on.askFor(frozen, ask({ workspace: 'keyed' }));
  const freeze = { id: randomUUID(), identityIds: [frozen.identityId], integrations: [], reason: 'a look' };
  await openFreeze(ledger, { ...freeze, by: 'responder@tenure.example' });
  expect(await on.askFor(frozen)).toMatchObject({ status: 409, slug: 'frozen' });
  expect(await on.look(frozen, body.id)).toMatchObject({ status: 409, slug: 'frozen' });
  expect(await refusalsOf(on.installation, frozen)).toEqual(['frozen']);
  await liftFreeze(ledger, { id: freeze.id, by: 'responder-2@tenure.example', reason: 'harmless' });
  expect((await on.look(frozen, body.id)).body).toMatchObject({ outcome: 'pending', state: 'awaiting-proof' });
  expect((await on.askFor(frozen)).body).toMatchObject({ outcome: 'granted' });
});

test('a frozen agent whose earlier call was not answered is told whether it was carried out, and nothing else', async () => {
  const frozen = await on.newAgent();
  const { ledger } = on.installation;
  const key = randomUUID();
  const { id } = (await on.askFor(frozen, ask(), { key })).body;
  const freeze = { id: randomUUID(), identityIds: [frozen.identityId], integrations: [], reason: 'a look' };
  await openFreeze(ledger, { ...freeze, by: 'responder@tenure.example' });
  const told = [await on.askFor(frozen, ask(), { key }), await on.look(frozen, id)];
  for (const { status, slug, detail, body } of told) {
    expect([status, slug]).toEqual([409, 'frozen']);
    expect(detail).toContain(`Step-up ${id} was opened before`);
    expect(Object.keys(body).sort()).toEqual(['detail', 'instance', 'status', 'stepUpId', 'title', 'type']);
    expect(body).toMatchObject({ stepUpId: id });
  }
  const never = await on.askFor(frozen);
  expect(never.slug).toBe('frozen');
  expect(never.body).not.toHaveProperty('stepUpId');
  expect(await grants(frozen.identityId)).toBe(1);
  await liftFreeze(ledger, { id: freeze.id, by: 'responder-2@tenure.example', reason: 'harmless' });
  expect((await on.askFor(frozen, ask(), { key })).body).toMatchObject({ id, outcome: 'granted' });
  expect(await grants(frozen.identityId)).toBe(1);
});

test('people and pipelines do not ask for step-ups', async () => {
  await expect(on.api.as('requester', '/v1/step-ups', ask())).rejects.toThrow('403');
});
