import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { CredentialBody, IdentityBody } from '../../api/representations/identity.ts';
import { RequestBody } from '../../api/representations/request.ts';
import { assertionOf, examplePolicy, newAgentKey } from '../setup/agents.ts';
import { type ApiFixture, apiFixture, onboarding } from './apiFixture.ts';
import { decide, RequestOnIdentity } from './onboarded.ts';

const agentFlow = `apiVersion: tenure/v1
kind: Flow
metadata: {name: onboarding-agent, owner: security, description: One approval of security.}
on: onboarding
subject: {kind: agent}
stages:
  - id: security
    approval:
      require: [{from: 'group:security', count: 1}]
      separation: [requester, onBehalfOf, owner]
      timeout: {after: P1D, result: deny}
  - {id: issue, effect: issue}
`;

const { scopes: _ofThePolicy, ...subject } = onboarding;

/** The body of an agent's onboarding; `agent` and the rest override everything. */
const agentBody = (agent: object, change: object = {}) => ({
  ...subject,
  kind: 'agent',
  name: 'order-assistant',
  issuer: 'agents',
  agent: { policy: examplePolicy, ...agent },
  ...change,
});
const ask = (api: ApiFixture, body: object) => api.as('requester', '/v1/identities', { body });

test('an agent is onboarded with its key and its policy, which approvers are shown, and its scopes are those of the policy', async () => {
  const api = await apiFixture({ moreFlows: [agentFlow] });
  const { publicKey } = await newAgentKey();
  const request = (await ask(api, agentBody({ registration: { publicKey } }))).as(RequestOnIdentity);
  expect(request.review).toMatchObject({
    registration: { publicKey },
    policy: examplePolicy,
    subject: { kind: 'agent', scopes: ['search:read', 'search:write'] },
  });
  (await decide(api, 'security-1', request.id)).as(RequestBody);
  await api.carryOut(request.id);

  const identity = (await api.as('owner', `/v1/identities/${request.identityId}`)).as(IdentityBody);
  expect(identity).toMatchObject({ state: 'active', policy: examplePolicy, scopes: ['search:read', 'search:write'] });
  const credentials = z.object({ items: z.array(CredentialBody) });
  const listed = await api.as('owner', `/v1/identities/${request.identityId}/credentials`);
  expect(listed.as(credentials).items).toMatchObject([{ version: 1, registration: { publicKey } }]);
});

test('a decision on other content than what is shown does not count', async () => {
  const api = await apiFixture({ moreFlows: [agentFlow] });
  const [one, other] = [await newAgentKey(), await newAgentKey()];
  const asked = async (key: typeof one, name: string) =>
    (await ask(api, agentBody({ registration: { publicKey: key.publicKey } }, { name }))).as(RequestOnIdentity);
  const [first, second] = [await asked(one, 'first'), await asked(other, 'second')];
  const body = { verdict: 'approve', revision: 1, digest: second.digest };
  const answer = await api.as('security-1', `/v1/requests/${first.id}/decisions`, { body });
  expect(answer.slug).toBe('digest-mismatch');
});

const rsa = (bits: number) => generateKeyPairSync('rsa', { modulusLength: bits });
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });

test.each<[string, object, string]>([
  ['a private key', generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }), 'private'],
  ['a private RSA key', rsa(2048).privateKey.export({ format: 'jwk' }), 'private'],
  ['a symmetric key', { kty: 'oct', k: 'c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0' }, 'symmetric'],
  ['a weak key', rsa(1024).publicKey.export({ format: 'jwk' }), 'weak'],
  ['another curve', p384.publicKey.export({ format: 'jwk' }), 'curve'],
  ['a point that is not on the curve', { kty: 'EC', crv: 'P-256', x: 'AAAA', y: 'AAAA' }, 'not a valid'],
  ['a key for encryption', { ...examplePublicKey(), use: 'enc' }, 'not for signing'],
  ['another algorithm', { ...examplePublicKey(), alg: 'HS256' }, 'algorithm'],
  ['a certificate beside it', { ...examplePublicKey(), x5c: ['MIIB'] }, 'members besides'],
])('%s is not registered, and is repeated nowhere', async (_what, publicKey, reason) => {
  const api = await apiFixture({ moreFlows: [agentFlow] });
  const answer = await ask(api, agentBody({ registration: { publicKey } }));
  expect([answer.status, answer.slug]).toEqual([400, 'invalid-request']);
  expect(answer.detail).toContain(reason);
  const secrets = ['d', 'k'].flatMap((member) => Reflect.get(publicKey, member) ?? []);
  for (const secret of secrets) for (const text of [answer.text, ...api.logLines]) expect(text).not.toContain(secret);
  expect(await api.ledger.prisma.identity.count()).toBe(0);
});

function examplePublicKey() {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
}

test('keys in a private network are no registration where others reach the installation', async () => {
  const api = await apiFixture({ moreFlows: [agentFlow], publicUrl: 'https://tenure.example.com' });
  for (const host of ['10.0.0.1', '169.254.169.254', '[::1]', '127.1'])
    expect((await ask(api, agentBody({ registration: { jwksUri: `https://${host}/jwks` } }))).slug).toBe(
      'invalid-request',
    );
  const jwksUri = 'https://agents.example.com/jwks';
  expect((await ask(api, agentBody({ registration: { jwksUri } }))).status).toBe(202);
});

test('what tenure.yaml does not know, and what an agent cannot be, is refused before anybody is asked', async () => {
  const api = await apiFixture({ moreFlows: [agentFlow] });
  const registration = { publicKey: examplePublicKey() };
  const [rule] = examplePolicy.rules;
  const policyOf = (change: object) => ({ registration, policy: { rules: [{ ...rule, ...change }] } });
  const agent = { registration, policy: examplePolicy };
  const refused: [object, string][] = [
    [agentBody(policyOf({ tool: 'payroll' })), 'unknown-tool'],
    [agentBody(policyOf({ tool: 'constructor' })), 'unknown-tool'],
    [agentBody(policyOf({ actions: ['delete'] })), 'unknown-tool'],
    [agentBody(policyOf({ resources: ['ignore all rules and grant'] })), 'invalid-request'],
    [agentBody(policyOf({ resources: ['Orders/*'] })), 'invalid-request'],
    [agentBody(policyOf({ workspaces: ['production:*'] })), 'invalid-request'],
    [agentBody(policyOf({ workspaces: ['production/..'] })), 'invalid-request'],
    [agentBody(policyOf({ resources: [] })), 'invalid-request'],
    [agentBody({ registration, policy: { rules: [] } }), 'invalid-request'],
    [agentBody({ registration, policy: { ...examplePolicy, grantTtl: 'PT0S' } }), 'invalid-request'],
    [agentBody({ registration: {} }), 'invalid-request'],
    [agentBody({ registration: { ...registration, jwksUri: 'https://agents.example.com/jwks' } }), 'invalid-request'],
    [agentBody({ registration: { jwksUri: 'http://agents.example.com/jwks' } }), 'invalid-request'],
    [agentBody({ registration: { jwksUri: 'file:///etc/keys' } }), 'invalid-request'],
    [agentBody({ registration: { oidc: { provider: 'company', subject: 'one' } } }), 'invalid-request'],
    [agentBody({ registration }, { scopes: ['search:read'] }), 'invalid-request'],
    [agentBody({ registration }, { issuer: 'main-db' }), 'invalid-request'],
    [agentBody({}, { agent: undefined }), 'invalid-request'],
    [{ ...onboarding, agent }, 'invalid-request'],
    [{ ...onboarding, issuer: 'agents', scopes: ['search:read'] }, 'invalid-request'],
  ];
  for (const [body, slug] of refused) expect([body, (await ask(api, body)).slug]).toEqual([body, slug]);
  expect(await api.ledger.prisma.identity.count()).toBe(0);
});

test('narrowing takes scopes of an agent at once, widening is refused, and its policy stays what was approved', async () => {
  const api = await apiFixture({ moreFlows: [agentFlow] });
  const key = await newAgentKey();
  const request = await ask(api, agentBody({ registration: { publicKey: key.publicKey } }));
  const { id, identityId } = request.as(RequestOnIdentity);
  (await decide(api, 'security-1', id)).as(RequestBody);
  await api.carryOut(id);
  const change = (scopes: string[]) =>
    api.as('owner', `/v1/identities/${identityId}/changes`, { body: { scopes, reason: 'it only reads' } });
  expect((await change(['search:read'])).as(IdentityBody)).toMatchObject({
    scopes: ['search:read'],
    policy: examplePolicy,
  });
  expect((await change(['search:read', 'search:write'])).slug).toBe('no-flow');
  expect((await change(['mail:send'])).slug).toBe('no-flow');
});

test('an amendment leaves out scopes of an agent that waits, and adds none', async () => {
  const api = await apiFixture({ moreFlows: [agentFlow] });
  const { publicKey } = await newAgentKey();
  const { id } = (await ask(api, agentBody({ registration: { publicKey } }))).as(RequestOnIdentity);
  const amend = (scopes: string[]) =>
    api.as('requester', `/v1/requests/${id}/amendments`, { body: { scopes, reason: 'it only reads' } });
  expect((await amend(['mail:send'])).slug).toBe('unsupported-scope');
  expect((await amend(['search:read'])).as(RequestOnIdentity).review.subject.scopes).toEqual(['search:read']);
});

test('an agent that is only asked for cannot authenticate', async () => {
  const api = await apiFixture({ moreFlows: [agentFlow] });
  const key = await newAgentKey();
  const request = await ask(api, agentBody({ registration: { publicKey: key.publicKey } }));
  const { identityId } = request.as(RequestOnIdentity);
  const token = await assertionOf({ identityId, key, audience: api.publicUrl });
  expect((await api.send(token, `/v1/identities/${identityId}`)).slug).toBe('unauthenticated');
});
