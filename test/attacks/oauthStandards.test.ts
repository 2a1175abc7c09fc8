import { randomUUID } from 'node:crypto';
import { createRemoteJWKSet, importPKCS8, jwtVerify, SignJWT } from 'jose';
import { beforeAll, expect, test } from 'vitest';
import { grantClaims } from '../../domain/grantClaims.ts';
import { answerOf } from '../api/apiFixture.ts';
import { type GrantedAgent, grantedAgent, postForm, serverToken } from '../api/grantedAgent.ts';
import { assertionOf } from '../setup/agents.ts';
import { insertGrant } from '../setup/grants.ts';

/** What clients of other makers send and expect, by the letter of the RFCs: none of it may be a way around sign-in. */

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const stepUpGrant = 'urn:tenure:params:oauth:grant-type:step-up';
let agent: GrantedAgent;
beforeAll(async () => {
  agent = await grantedAgent({ lives: 'file' });
});

async function form(path: string, parameters: Record<string, string>, headers: Record<string, string> = {}) {
  return answerOf(
    await fetch(`${agent.api.address}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
      body: new URLSearchParams(parameters),
    }),
  );
}
const errorIn = (answer: { text: string }): unknown => (JSON.parse(answer.text) as { error?: unknown }).error;

test('RFC 8414: the metadata has every member that a client needs, and no empty list', async () => {
  const answer = await agent.api.send(undefined, '/.well-known/oauth-authorization-server');
  const metadata = JSON.parse(answer.text) as Record<string, unknown>;
  for (const [name, value] of Object.entries(metadata))
    if (Array.isArray(value)) expect([name, value.length > 0]).toEqual([name, true]);
  for (const name of ['issuer', 'token_endpoint', 'response_types_supported', 'grant_types_supported'])
    expect(metadata).toHaveProperty(name);
  expect(metadata['dpop_signing_alg_values_supported']).toContain('ES256');
  // RFC 8414 §2: whoever lists private_key_jwt says with which algorithms.
  for (const endpoint of ['token', 'introspection', 'revocation']) {
    expect(metadata[`${endpoint}_endpoint_auth_methods_supported`]).toContain('private_key_jwt');
    expect(metadata[`${endpoint}_endpoint_auth_signing_alg_values_supported`]).not.toContain('none');
  }
});

test('RFC 7523: an assertion signs its agent in as a form field, once, and not beside a header', async () => {
  const { token } = await agent.granted();
  const revocation = async (more: Record<string, string> = {}) => ({
    token,
    client_assertion: await agent.asAgent(),
    client_assertion_type: assertionType,
    ...more,
  });
  const sent = await revocation({ client_id: `agent:${agent.identityId}` });
  expect((await form('/oauth/revoke', sent)).status).toBe(200);
  expect((await agent.introspect(token))['active']).toBe(false);

  const again = await form('/oauth/revoke', sent);
  expect([again.status, errorIn(again)]).toEqual([401, 'invalid_client']);
  const both = await form('/oauth/revoke', await revocation(), { authorization: `Bearer ${await agent.asAgent()}` });
  expect([both.status, errorIn(both)]).toEqual([400, 'invalid_request']);
  const another = await form('/oauth/revoke', await revocation({ client_id: 'agent:another' }));
  expect([another.status, errorIn(another)]).toEqual([401, 'invalid_client']);
  const untyped = await form('/oauth/revoke', await revocation({ client_assertion_type: 'jwt' }));
  expect([untyped.status, errorIn(untyped)]).toEqual([401, 'invalid_client']);
  const none = await form('/oauth/revoke', { token });
  expect([none.status, errorIn(none)]).toEqual([401, 'invalid_client']);
  expect(none.headers.get('www-authenticate')).toMatch(/^Bearer/);
});

test('a client_assertion signs nobody in where bodies are not forms', async () => {
  const body = { client_assertion: await agent.asAgent(), client_assertion_type: assertionType };
  const answer = await fetch(`${agent.api.address}/v1/step-ups`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': randomUUID() },
    body: JSON.stringify(body),
  });
  expect(answer.status).toBe(401);
  expect(await answer.json()).not.toHaveProperty('error');
});

test('RFC 6749: every refusal of an OAuth endpoint has its error beside the problem', async () => {
  const bearer = await serverToken(agent.api, 'search-server');
  const empty = await postForm(agent.api, bearer, '/oauth/introspect', {});
  expect([empty.status, empty.slug, errorIn(empty)]).toEqual([400, 'invalid-request', 'invalid_request']);
  const { token } = await agent.granted();
  const foreign = await postForm(agent.api, await serverToken(agent.api, 'mail-server'), '/oauth/revoke', { token });
  expect([foreign.status, foreign.slug, errorIn(foreign)]).toEqual([403, 'forbidden', 'unauthorized_client']);
  const json = await fetch(`${agent.api.address}/oauth/introspect`, { method: 'POST', body: '{}' });
  expect(json.status).toBe(415);
  expect(await json.json()).toMatchObject({ error: 'invalid_request' });
});

test('the token endpoint gives an agent its own granted step-up, and nothing for anything else', async () => {
  const { api, identityId } = agent;
  const grant = await insertGrant(api.ledger, { identityId });
  const asked = async (parameters: Record<string, string>) =>
    form('/oauth/token', {
      client_assertion: await agent.asAgent(),
      client_assertion_type: assertionType,
      ...parameters,
    });
  const given = await asked({ grant_type: stepUpGrant, step_up: grant.id });
  const body = JSON.parse(given.text) as { access_token: string };
  expect([given.status, body]).toMatchObject([200, { token_type: 'DPoP', scope: 'search:read' }]);
  expect(given.headers.get('cache-control')).toBe('no-store');
  expect((await agent.introspect(body.access_token))['active']).toBe(true);

  const refusals: [Record<string, string>, string][] = [
    [{ grant_type: 'client_credentials' }, 'unsupported_grant_type'],
    [{ grant_type: stepUpGrant }, 'invalid_grant'],
    [{ grant_type: stepUpGrant, step_up: 'nothing of the kind' }, 'invalid_grant'],
    [{ step_up: grant.id }, 'invalid_request'],
  ];
  for (const [parameters, error] of refusals) {
    const refused = await asked(parameters);
    expect([refused.status, errorIn(refused)]).toEqual([400, error]);
  }
  await api.ledger.prisma.accessGrant.update({
    where: { id: grant.id },
    data: { revokedAt: new Date(), revokedBy: 'a test', revokedBecause: 'a test' },
  });
  const revoked = await asked({ grant_type: stepUpGrant, step_up: grant.id });
  expect([revoked.status, errorIn(revoked)]).toEqual([400, 'access_denied']);
});

test('RFC 7519: times with a fraction are times', async () => {
  const { api, identityId, key } = agent;
  const nowSeconds = Date.now() / 1000;
  const claims = { iat: nowSeconds - 0.5, exp: nowSeconds + 59.25, nbf: nowSeconds - 0.25 };
  const assertion = await assertionOf({ identityId, key, audience: api.publicUrl }, { claims });
  expect((await api.send(assertion, `/v1/identities/${identityId}`)).status).toBe(200);
  const expired = await assertionOf(
    { identityId, key, audience: api.publicUrl },
    { claims: { iat: nowSeconds - 60, exp: nowSeconds - 12.5 } },
  );
  expect((await api.send(expired, `/v1/identities/${identityId}`)).slug).toBe('unauthenticated');
  const person = await api.provider.token({
    email: 'requester@example.com',
    email_verified: true,
    iat: nowSeconds - 0.5,
    exp: nowSeconds + 59.25,
  });
  expect((await api.send(person, '/v1/requests')).status).toBe(200);
});

test('RFC 9068: a signer whose key is of RSA signs with RS256, and neither kind of key takes the other algorithm', async () => {
  const rsa = await grantedAgent({ algorithm: 'RS256' });
  const { grant, token } = await rsa.granted();
  const keys = createRemoteJWKSet(new URL('/.well-known/jwks.json', rsa.api.address));
  const { protectedHeader } = await jwtVerify(token, keys, { issuer: rsa.api.publicUrl, typ: 'at+jwt' });
  expect(protectedHeader).toMatchObject({ alg: 'RS256', typ: 'at+jwt' });
  expect((await rsa.introspect(token))['active']).toBe(true);

  const claims = { ...grantClaims(grant, rsa.api.publicUrl) };
  const { kid } = protectedHeader;
  const otherwise = async (alg: string, header: object = {}) =>
    new SignJWT(claims)
      .setProtectedHeader({ alg, typ: 'at+jwt', kid: kid ?? '', ...header })
      .sign(await importPKCS8(rsa.signer.privateKey, alg));
  for (const alg of ['PS256', 'RS512']) expect((await rsa.introspect(await otherwise(alg)))['active']).toBe(false);
  const [, payload, signature] = token.split('.');
  const header = Buffer.from(JSON.stringify({ alg: 'ES256', typ: 'at+jwt', kid })).toString('base64url');
  expect((await rsa.introspect(`${header}.${payload}.${signature}`))['active']).toBe(false);
});

test('RFC 9470: a grant says when its person signed in, and says nothing for a person who was only named', async () => {
  const { api, identityId } = agent;
  const authenticatedAt = '2026-11-30T12:00:00.000Z';
  const onBehalfOf = 'requester@example.com';
  await api.as('requester', '/v1/requests');
  const shown = await agent.granted({ onBehalfOf, ask: { isOnBehalfVerified: true, authenticatedAt } });
  expect(await agent.introspect(shown.token)).toMatchObject({
    active: true,
    acr: 'urn:tenure:acr:person',
    auth_time: Date.parse(authenticatedAt) / 1000,
  });
  const named = await agent.introspect((await agent.granted({ onBehalfOf })).token);
  expect(named).toMatchObject({ active: true, sub: `agent:${identityId}` });
  expect(named).not.toHaveProperty('auth_time');
  expect(named).not.toHaveProperty('acr');
});
