import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
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
