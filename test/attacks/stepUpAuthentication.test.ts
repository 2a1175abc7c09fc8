import { createHmac, createPublicKey, randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { useOnce } from '../../ledger/singleUse.ts';
import { type ApiFixture, apiFixture } from '../api/apiFixture.ts';
import {
  type AgentKeyPair,
  assertionOf,
  insertAgent,
  insertAgentKey,
  moveIdentity,
  newAgentKey,
} from '../setup/agents.ts';

/**
 * Whoever pretends to be an agent, through the real API: each attempt is refused with 401, leaves evidence that says why, and
 * grants nothing.
 */

interface Victim {
  readonly api: ApiFixture;
  readonly identityId: string;
  readonly key: AgentKeyPair;
  readonly audience: string;
}

async function victim(): Promise<Victim> {
  const api = await apiFixture();
  const key = await newAgentKey();
  const identityId = await insertAgent(api.ledger, { registration: { publicKey: key.publicKey } });
  return { api, identityId, key, audience: api.publicUrl };
}

const nowSeconds = () => Math.floor(Date.now() / 1000);

async function evidenceOf({ api, identityId }: Victim): Promise<unknown[]> {
  const rows = await api.ledger.prisma.evidenceEntry.findMany({
    where: { chain: `identity/${identityId}` },
    orderBy: { position: 'asc' },
  });
  return rows.map(({ body }) => JSON.parse(body));
}

/** The agent's own identity: what it may always read. */
const read = (agent: Victim, token: string) => agent.api.send(token, `/v1/identities/${agent.identityId}`);

async function expectRefused(agent: Victim, token: string, reason: string): Promise<void> {
  const answer = await read(agent, token);
  expect([answer.status, answer.slug]).toEqual([401, 'unauthenticated']);
  const [, body = '', signature = ''] = token.split('.');
  for (const part of [body, signature].filter((text) => text !== ''))
    for (const text of [answer.text, ...agent.api.logLines]) expect(text).not.toContain(part);
  expect(await evidenceOf(agent)).toMatchObject([
    { kind: 'agent.authentication-refused', actor: 'system:sign-in', data: { reason } },
  ]);
  expect(await agent.api.ledger.prisma.accessGrant.count()).toBe(0);
}

test.each<[string, (agent: Victim) => object, string]>([
  ['that expired', () => ({ iat: nowSeconds() - 120, exp: nowSeconds() - 60 }), 'expired'],
  ['from the future', () => ({ iat: nowSeconds() + 120, exp: nowSeconds() + 180 }), 'not-yet-valid'],
  ['that is not valid before later', () => ({ nbf: nowSeconds() + 120 }), 'not-yet-valid'],
  ['that lives for an hour', () => ({ exp: nowSeconds() + 3_600 }), 'too-long-lived'],
  ['that lived for an hour', () => ({ iat: nowSeconds() - 3_600, exp: nowSeconds() + 10 }), 'too-long-lived'],
  ['without an end', () => ({ exp: undefined }), 'wrong-claims'],
  ['without a beginning', () => ({ iat: undefined }), 'wrong-claims'],
  ['without a jti', () => ({ jti: undefined }), 'wrong-claims'],
  ['with an empty jti', () => ({ jti: '' }), 'wrong-claims'],
  ['with a jti of thousands of characters', () => ({ jti: 'j'.repeat(5_000) }), 'wrong-claims'],
  ['for another audience', () => ({ aud: 'https://elsewhere.example.com' }), 'wrong-audience'],
  ['for an audience that only begins as ours', ({ audience }) => ({ aud: `${audience}/` }), 'wrong-audience'],
  ['for two audiences', ({ audience }) => ({ aud: [audience, 'https://search.example.com'] }), 'wrong-audience'],
  ['for none', () => ({ aud: undefined }), 'wrong-claims'],
  ['about somebody else', () => ({ sub: 'owner@example.com' }), 'wrong-claims'],
  ['about nobody', () => ({ sub: undefined }), 'wrong-claims'],
])('an assertion %s is refused', async (_what, claimsOf, reason) => {
  const agent = await victim();
  await expectRefused(agent, await assertionOf(agent, { claims: claimsOf(agent) }), reason);
});

test('an assertion is good for one call, also of many at once', async () => {
  const agent = await victim();
  const token = await assertionOf(agent);
  const answers = await Promise.all(Array.from({ length: 10 }, () => read(agent, token)));
  expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array.from({ length: 9 }, () => 401)]);
  await expectRefused(agent, token, 'replayed');
});

test('nobody else can use up what an agent will send', async () => {
  const agent = await victim();
  const jti = randomUUID();
  const forged = { ...agent, key: await newAgentKey() };
  await expectRefused(agent, await assertionOf(forged, { claims: { jti } }), 'bad-signature');
  expect((await read(agent, await assertionOf(agent, { claims: { jti } }))).status).toBe(200);
});

test('an assertion without a signature is refused', async () => {
  const agent = await victim();
  const [, body] = (await assertionOf(agent)).split('.');
  const header = Buffer.from(JSON.stringify({ alg: 'none' })).toString('base64url');
  await expectRefused(agent, `${header}.${body}.`, 'algorithm');
});

test('the public key is no shared secret: HS256 with it is refused', async () => {
  const agent = await victim();
  const [, body] = (await assertionOf(agent)).split('.');
  const header = Buffer.from(JSON.stringify({ alg: 'HS256' })).toString('base64url');
  const pem = createPublicKey({ key: { ...agent.key.publicKey }, format: 'jwk' }).export({
    type: 'spki',
    format: 'pem',
  });
  const signature = createHmac('sha256', pem).update(`${header}.${body}`).digest('base64url');
  await expectRefused(agent, `${header}.${body}.${signature}`, 'algorithm');
});

test("another agent's key does not sign for this one, nor does a key that the token brings along", async () => {
  const agent = await victim();
  const other = await newAgentKey();
  await insertAgent(agent.api.ledger, { registration: { publicKey: other.publicKey } });
  const header = { jwk: { ...other.publicKey }, jku: 'https://attacker.example.com/jwks', kid: '../../etc/passwd' };
  await expectRefused(agent, await assertionOf({ ...agent, key: other }, { header }), 'bad-signature');
});

test('what the key signed for another purpose is no assertion', async () => {
  const agent = await victim();
  for (const typ of ['tenure-proof+jwt', 'dpop+jwt', 'at+jwt'])
    await expectRefused(agent, await assertionOf(agent, { header: { typ } }), 'not-an-assertion');
});

test('a header that must be understood and is not is refused', async () => {
  const agent = await victim();
  const token = await assertionOf(agent);
  const [, body] = token.split('.');
  const header = Buffer.from(JSON.stringify({ alg: 'ES256', crit: ['policy'], policy: 'grant' })).toString('base64url');
  await expectRefused(agent, `${header}.${body}.AAAA`, 'malformed');
});

test.each(['minting', 'destroying'] as const)('a key that is %s is not one of the agent', async (state) => {
  const agent = await victim();
  const key = await newAgentKey();
  const { identityId } = agent;
  await insertAgentKey(agent.api.ledger, { identityId, version: 2, registration: { publicKey: key.publicKey }, state });
  await expectRefused(agent, await assertionOf({ ...agent, key }), 'retired-key');
});

test('a key past its own end is refused', async () => {
  const agent = await victim();
  const validUntil = new Date(Date.now() - 1_000);
  await agent.api.ledger.prisma.agentKey.updateMany({ data: { validUntil } });
  await expectRefused(agent, await assertionOf(agent), 'retired-key');
});

test('a key that was destroyed is unknown', async () => {
  const agent = await victim();
  await agent.api.ledger.prisma.agentKey.deleteMany();
  await expectRefused(agent, await assertionOf(agent), 'no-registration');
});

test.each([[['revoking']], [['revoking', 'revoked']]] as const)('an agent that is %s is nobody', async (states) => {
  const agent = await victim();
  await moveIdentity(agent.api.ledger, agent.identityId, states);
  await expectRefused(agent, await assertionOf(agent), 'not-active');
});

test('a revocation by a responder counts for the next call', async () => {
  const agent = await victim();
  expect((await read(agent, await assertionOf(agent))).status).toBe(200);
  const body = { justification: 'its key is on a pastebin' };
  await agent.api.as('responder-1', `/v1/identities/${agent.identityId}/revocation`, { body });
  const answer = await read(agent, await assertionOf(agent));
  expect([answer.status, answer.slug]).toEqual([401, 'unauthenticated']);
  expect(await evidenceOf(agent)).toContainEqual(
    expect.objectContaining({ kind: 'agent.authentication-refused', data: { reason: 'retired-key' } }),
  );
});

test('an identity that is no agent, or does not exist, is nobody, and the log has nothing of it', async () => {
  const agent = await victim();
  for (const identityId of ['a'.repeat(26), 'owner@example.com', '', `${agent.identityId}\u0000`]) {
    const answer = await read(agent, await assertionOf({ ...agent, identityId }));
    expect([answer.status, answer.slug]).toEqual([401, 'unauthenticated']);
  }
  expect(await agent.api.ledger.prisma.evidenceEntry.count({ where: { chain: { startsWith: 'identity/' } } })).toBe(0);
});

test('a stranger who tries again and again does not flood the log', async () => {
  const agent = await victim();
  const stranger = { ...agent, key: await newAgentKey() };
  const minute = Math.floor(Date.now() / 60_000);
  for (let attempt = 0; attempt < 20; attempt += 1) await read(agent, await assertionOf(stranger));
  const minutes = Math.floor(Date.now() / 60_000) - minute + 1;
  expect((await evidenceOf(agent)).length).toBeLessThanOrEqual(minutes);
});

test('a person does not become an agent, nor an agent a person, by what their tokens claim', async () => {
  const agent = await victim();
  const { api, identityId } = agent;
  const asPerson = await api.provider.token({ iss: `agent:${identityId}`, email: 'owner@example.com' });
  await expectRefused(agent, asPerson, 'bad-signature');
  const mixed = await assertionOf(agent, { claims: { email: 'admin@example.com', groups: ['admin'] } });
  expect((await api.send(mixed, '/v1/identities')).slug).toBe('forbidden');
});

test("a revoked agent's workload is nobody, whatever token it still has", async () => {
  const agent = await victim();
  const oidc = { provider: 'workloads', subject: 'spiffe://example.com/search' };
  const identityId = await insertAgent(agent.api.ledger, { registration: { oidc } });
  const token = await agent.api.provider.token({ aud: 'tenure-agents', sub: oidc.subject });
  expect((await agent.api.send(token, `/v1/identities/${identityId}`)).status).toBe(200);
  await moveIdentity(agent.api.ledger, identityId, ['revoking']);
  await expectRefused({ ...agent, identityId }, token, 'not-active');
});

test('values of other purposes use up no assertion', async () => {
  const agent = await victim();
  const jti = randomUUID();
  const until = new Date(Date.now() + 60_000);
  await useOnce(agent.api.ledger.prisma, { purpose: 'proof', value: `${agent.identityId}/${jti}`, until });
  expect((await read(agent, await assertionOf(agent, { claims: { jti } }))).status).toBe(200);
});
