import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { isPublicAddress } from '../../api/auth/publicAddresses.ts';
import { IdentityBody } from '../../api/representations/identity.ts';
import { type AgentKeyPair, assertionOf, insertAgent, newAgentKey } from '../setup/agents.ts';
import { type ApiFixture, apiFixture } from './apiFixture.ts';

const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

/** The address of an agent's keys, and how often it was asked. */
async function keyServer(listener: RequestListener) {
  let asked = 0;
  const server = createServer((req, res) => {
    asked += 1;
    listener(req, res);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  stops.push(stop);
  const jwksUri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`;
  return { jwksUri, asked: () => asked, stop };
}

/** A set of these keys, named in their order. */
const serving =
  (...keys: AgentKeyPair[]): RequestListener =>
  (_req, res) =>
    res
      .setHeader('content-type', 'application/json')
      .end(JSON.stringify({ keys: keys.map(({ publicKey }, index) => ({ ...publicKey, kid: `key-${index}` })) }));

async function agentAt(api: ApiFixture, jwksUri: string) {
  return { identityId: await insertAgent(api.ledger, { registration: { jwksUri } }), audience: api.publicUrl };
}

const call = async (
  api: ApiFixture,
  agent: { identityId: string; audience: string },
  key: AgentKeyPair,
  kid = 'key-0',
) => api.send(await assertionOf({ ...agent, key }, { header: { kid } }), `/v1/identities/${agent.identityId}`);

test('an agent is known by any key at its registered address, which is asked once', async () => {
  const api = await apiFixture();
  const [one, other] = [await newAgentKey(), await newAgentKey()];
  const server = await keyServer(serving(one, other));
  const agent = await agentAt(api, server.jwksUri);
  for (const [key, kid] of [
    [one, 'key-0'],
    [other, 'key-1'],
  ] as const)
    expect((await call(api, agent, key, kid)).as(IdentityBody).id).toBe(agent.identityId);
  expect(server.asked()).toBe(1);
});

test('keys that are not there are refused, and asking for many of them does not make as many calls', async () => {
  const api = await apiFixture();
  const server = await keyServer(serving(await newAgentKey()));
  const agent = await agentAt(api, server.jwksUri);
  const stranger = await newAgentKey();
  for (let attempt = 0; attempt < 10; attempt += 1)
    expect((await call(api, agent, stranger, `unknown-${attempt}`)).slug).toBe('unauthenticated');
  expect((await call(api, agent, stranger, 'key-0')).slug).toBe('unauthenticated');
  expect(server.asked()).toBe(1);
});

test.each<[string, RequestListener]>([
  ['redirects', (_req, res) => void res.writeHead(302, { location: 'https://keys.example.com/jwks' }).end()],
  ['answers an error', (_req, res) => void res.writeHead(500).end()],
  ['answers no JSON', (_req, res) => void res.end('<html>')],
  ['answers no set of keys', (_req, res) => void res.end('{"keys": 1}')],
  ['answers without end', (_req, res) => void res.end(JSON.stringify({ keys: [], filler: 'x'.repeat(100_000) }))],
])(
  'while the address %s it is said that the keys cannot be had, and it is left alone for a while',
  async (_what, listener) => {
    const api = await apiFixture();
    const server = await keyServer(listener);
    const agent = await agentAt(api, server.jwksUri);
    const key = await newAgentKey();
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const answer = await call(api, agent, key);
      expect([answer.status, answer.slug]).toEqual([503, 'sign-in-unavailable']);
      expect(answer.text).not.toContain(server.jwksUri);
    }
    expect(server.asked()).toBe(1);
  },
);

test('a stranger with an unknown key, and an address that fails then, lock nobody out whose key is known', async () => {
  let laterMs = 0;
  const api = await apiFixture({ now: () => new Date(Date.now() + laterMs) });
  const [key, stranger, next] = [await newAgentKey(), await newAgentKey(), await newAgentKey()];
  let answer = serving(key);
  const server = await keyServer((req, res) => answer(req, res));
  const agent = await agentAt(api, server.jwksUri);
  expect((await call(api, agent, key)).status).toBe(200);

  laterMs = 15_000;
  answer = (_req, res) => void res.writeHead(500).end();
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const refused = await call(api, agent, stranger, `unknown-${attempt}`);
    expect([refused.status, refused.slug]).toEqual([401, 'unauthenticated']);
    expect((await call(api, agent, key)).status).toBe(200);
  }
  expect(server.asked(), 'once, for the first unknown key').toBe(2);

  laterMs = 30_000;
  answer = serving(key, next);
  expect((await call(api, agent, next, 'key-1')).status).toBe(200);
  expect(server.asked()).toBe(3);
});

test('keys are not known for longer than they are kept: then an address that fails is one whose keys cannot be had', async () => {
  let laterMs = 0;
  const api = await apiFixture({ now: () => new Date(Date.now() + laterMs) });
  const key = await newAgentKey();
  let answer = serving(key);
  const server = await keyServer((req, res) => answer(req, res));
  const agent = await agentAt(api, server.jwksUri);
  expect((await call(api, agent, key)).status).toBe(200);
  answer = (_req, res) => void res.writeHead(500).end();
  laterMs = 301_000;
  const iat = Math.floor((Date.now() + laterMs) / 1000);
  const claims = { iat, exp: iat + 60 };
  const assertion = await assertionOf({ ...agent, key }, { header: { kid: 'key-0' }, claims });
  expect((await api.send(assertion, `/v1/identities/${agent.identityId}`)).slug).toBe('sign-in-unavailable');
});

test('an installation that others reach calls no address of its own machine or network, by name or by number', async () => {
  const api = await apiFixture({ publicUrl: 'https://tenure.example.com' });
  const key = await newAgentKey();
  const server = await keyServer(serving(key));
  const { port } = new URL(server.jwksUri);
  for (const host of ['127.0.0.1', 'localhost', '[::ffff:127.0.0.1]']) {
    const agent = await agentAt(api, `http://${host}:${port}/jwks`);
    const answer = await call(api, agent, key);
    expect([answer.status, answer.slug]).toEqual([503, 'sign-in-unavailable']);
  }
  expect(server.asked()).toBe(0);
});

test.each([
  ...[
    '127.0.0.1',
    '127.9.9.9',
    '10.1.2.3',
    '172.31.255.255',
    '192.168.0.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
  ],
  ...[
    '255.255.255.255',
    '224.0.0.1',
    '::',
    '::1',
    '::ffff:10.0.0.1',
    '::ffff:7f00:1',
    '::7f00:1',
    'fe80::1',
    'fd00::1',
  ],
  ...['fec0::1', 'ff02::1', '64:ff9b::a9fe:a9fe', '64:ff9b::10.0.0.1', '64:ff9b:1::1', '2002:7f00:1::', '2001::1'],
  ...['localhost', '', '1', '0x7f.1'],
])('%s is no address on the internet', (address) => {
  expect(isPublicAddress(address)).toBe(false);
});

test.each([
  '1.1.1.1',
  '172.32.0.1',
  '100.128.0.1',
  '192.167.255.255',
  '2606:4700::1111',
  '::ffff:1.1.1.1',
  '64:ff9b::101:101',
])('%s is one', (address) => {
  expect(isPublicAddress(address)).toBe(true);
});

test('an address that is down is told from a key that is wrong', async () => {
  const api = await apiFixture();
  const server = await keyServer(serving());
  await server.stop();
  const agent = await agentAt(api, server.jwksUri);
  expect((await call(api, agent, await newAgentKey())).slug).toBe('sign-in-unavailable');
});

test('the address of an agent that is revoked is not asked any more', async () => {
  const api = await apiFixture();
  const key = await newAgentKey();
  const server = await keyServer(serving(key));
  const agent = await agentAt(api, server.jwksUri);
  const body = { justification: 'nobody needs it any more' };
  await api.as('responder-1', `/v1/identities/${agent.identityId}/revocation`, { body });
  expect((await call(api, agent, key)).slug).toBe('unauthenticated');
  expect(server.asked()).toBe(0);
});
