import { expect, test } from 'vitest';
import { z } from 'zod';
import { GrantBody } from '../../api/representations/grant.ts';
import { insertAgent, moveIdentity, newAgentKey } from '../setup/agents.ts';
import { emailOf } from './apiFixture.ts';
import { type GrantedAgent, grantedAgent, postForm, serverToken } from './grantedAgent.ts';

const Page = z.object({ items: z.array(GrantBody), nextCursor: z.string().nullable() });
const inactive = { active: false };

test('introspection of a grant says what its token says: the agent, the tool, the key it is bound to', async () => {
  const agent = await grantedAgent();
  const { grant, token } = await agent.granted();
  const client = `agent:${agent.identityId}`;
  expect(await agent.introspect(token)).toEqual({
    active: true,
    token_type: 'DPoP',
    iss: agent.api.publicUrl,
    aud: 'https://search.example.com',
    sub: client,
    client_id: client,
    iat: Math.floor(grant.issuedAt.getTime() / 1000),
    exp: Math.floor(grant.expiresAt.getTime() / 1000),
    jti: grant.id,
    scope: 'search:read',
    cnf: { jkt: grant.jkt },
    tenure_resource: 'orders/4711',
    tenure_workspace: 'payments',
  });
});

test('the person it acts for is the subject once verified, with the agent as actor; one only asserted never is', async () => {
  const agent = await grantedAgent();
  const client = `agent:${agent.identityId}`;
  const onBehalfOf = emailOf('requester');
  const verified = await agent.granted({ onBehalfOf, ask: { isOnBehalfVerified: true } });
  expect(await agent.introspect(verified.token)).toMatchObject({ sub: onBehalfOf, act: { sub: client } });
  const asserted = await agent.introspect((await agent.granted({ onBehalfOf })).token);
  expect(asserted).toMatchObject({ sub: client, asserted_sub: onBehalfOf });
  expect(asserted).not.toHaveProperty('act');
});

type Ending = (agent: GrantedAgent) => Promise<unknown>;
const endings: Readonly<Record<string, Ending>> = {
  frozen: ({ api, identityId }) =>
    api.as('responder-1', '/v1/freezes', { body: { identityIds: [identityId], reason: 'it was injected' } }),
  'agent-revoked': ({ api, identityId }) =>
    api.as('responder-1', `/v1/identities/${identityId}/revocation`, { body: { justification: 'it was injected' } }),
  'scope-narrowed': ({ api, identityId }) =>
    api.as('owner', `/v1/identities/${identityId}/changes`, { body: { scopes: ['search:write'], reason: 'enough' } }),
  'owner-inactive': ({ api }) => leave(api, 'owner'),
  'person-inactive': ({ api }) => leave(api, 'requester'),
  'agent-expired': ({ api, identityId: id }) =>
    api.ledger.prisma.identity.update({ where: { id }, data: { expiresAt: new Date() } }),
};

function leave({ ledger }: GrantedAgent['api'], person: 'owner' | 'requester') {
  return ledger.prisma.person.update({ where: { id: emailOf(person) }, data: { active: false } });
}

test.each(Object.entries(endings))('%s: its grants are inactive from the commit on', async (standing, end) => {
  const agent = await grantedAgent();
  const { token } = await agent.granted({ onBehalfOf: emailOf('requester') });
  // Asked before: what was remembered of the token must not count.
  expect(await agent.introspect(token)).toMatchObject({ active: true });
  await end(agent);
  expect(await agent.introspect(token)).toEqual(inactive);
  const listed = await agent.api.as('auditor', `/v1/identities/${agent.identityId}/grants`);
  expect(listed.as(Page).items).toMatchObject([{ standing }]);
});

test('an expired grant is inactive', async () => {
  const agent = await grantedAgent();
  const { token } = await agent.granted({ expiresAt: new Date(Date.now() - 1) });
  expect(await agent.introspect(token)).toEqual(inactive);
});

test('a frozen or revoked signer: nothing that it signed is active', async () => {
  const agent = await grantedAgent();
  const { token } = await agent.granted();
  const freeze = { identityIds: [agent.signer.identityId], reason: 'its key may be out' };
  const { id } = (await agent.api.as('responder-1', '/v1/freezes', { body: freeze })).as(z.object({ id: z.string() }));
  expect(await agent.introspect(token)).toEqual(inactive);
  const lift = { body: { reason: 'it is not', override: true } };
  await agent.api.as('responder-2', `/v1/freezes/${id}/lift`, lift);
  expect(await agent.introspect(token)).toMatchObject({ active: true });
  await moveIdentity(agent.api.ledger, agent.signer.identityId, ['revoking']);
  expect(await agent.introspect(token)).toEqual(inactive);
});

test.each(['no freeze', 'a freeze'])(
  'asked at once, %s in force: each is told of its own token, whatever the others ask',
  async (freeze) => {
    const agent = await grantedAgent();
    const granted = await Promise.all(Array.from({ length: 20 }, () => agent.granted()));
    const tokens = granted.map(({ token }) => token);
    const [first, revoked] = tokens;
    const another = await insertAgent(agent.api.ledger, {
      registration: { publicKey: (await newAgentKey()).publicKey },
    });
    const frozen = await agent.granted({ identityId: another });
    await postForm(agent.api, await agent.asAgent(), '/oauth/revoke', { token: revoked ?? '' });
    if (freeze === 'a freeze')
      await agent.api.as('responder-1', '/v1/freezes', { body: { identityIds: [another], reason: 'it was injected' } });
    const asked = [...tokens, first ?? '', frozen.token, 'none.of.ours', await grantedElsewhere()];
    const ids = [...granted.map(({ grant }) => grant.id), granted[0]?.grant.id, frozen.grant.id];
    for (const _remembered of [false, true]) {
      const told = await Promise.all(asked.map((token) => agent.introspect(token)));
      expect(told.map(({ jti }) => jti)).toEqual([
        ...ids.map((id, place) => (place === 1 || (freeze === 'a freeze' && place === 21) ? undefined : id)),
        ...[undefined, undefined],
      ]);
    }
  },
);

/** Of an installation of its own. */
async function grantedElsewhere(): Promise<string> {
  return (await (await grantedAgent()).granted()).token;
}

test('an agent gives its token back: inactive at once, once, with evidence', async () => {
  const agent = await grantedAgent();
  const { api, identityId } = agent;
  const { grant, token } = await agent.granted();
  const kept = await agent.granted();
  for (const _repeated of [1, 2])
    expect((await postForm(api, await agent.asAgent(), '/oauth/revoke', { token })).status).toBe(200);
  expect(await agent.introspect(token)).toEqual(inactive);
  expect(await agent.introspect(kept.token)).toMatchObject({ active: true });
  expect(await evidenceOf(agent)).toEqual([
    {
      kind: 'grant.revoked',
      actor: `agent:${identityId}`,
      data: { action: 'read', grantId: grant.id, reason: 'the agent gave it back', tool: 'search' },
    },
  ]);
});

test('the resource server of its tool revokes a token too', async () => {
  const agent = await grantedAgent();
  const { token } = await agent.granted();
  const bearer = await serverToken(agent.api, 'search-server');
  const hinted = { token, token_type_hint: 'access_token', ignored: 'as RFC 6749 says' };
  expect((await postForm(agent.api, bearer, '/oauth/revoke', hinted)).text).toBe('{}');
  expect(await agent.introspect(token)).toEqual(inactive);
});

test('all grants of one agent are revoked together; another agent keeps its own, and what is granted later stands', async () => {
  const agent = await grantedAgent();
  const { api, identityId } = agent;
  const path = `/v1/identities/${identityId}/grants`;
  const tokens = [await agent.granted(), await agent.granted({ ask: { action: 'write' } })];
  const body = { reason: 'the run was injected' };
  const anotherAgent = await insertAgent(api.ledger, { registration: { publicKey: (await newAgentKey()).publicKey } });
  const kept = await agent.granted({ identityId: anotherAgent });
  const options = { body, key: 'revoke-all' };
  for (const _repeated of [1, 2]) {
    const { items } = (await api.as('owner', `${path}/revocation`, options)).as(Page);
    expect(items.map(({ standing, revokedBecause }) => ({ standing, revokedBecause }))).toEqual(
      Array.from({ length: 2 }, () => ({ standing: 'revoked', revokedBecause: body.reason })),
    );
  }
  for (const { token } of tokens) expect(await agent.introspect(token)).toEqual(inactive);
  const evidence = await evidenceOf(agent);
  expect(evidence.map(({ data }) => data['grantId'])).toEqual(
    expect.arrayContaining(tokens.map(({ grant }) => grant.id)),
  );
  expect(evidence).toHaveLength(2);
  expect(await agent.introspect(kept.token)).toMatchObject({ active: true });
  expect(await agent.introspect((await agent.granted()).token)).toMatchObject({ active: true });
});

test('who may revoke an agent’s grants: its owner, responders, administrators and itself', async () => {
  const agent = await grantedAgent();
  const path = `/v1/identities/${agent.identityId}/grants/revocation`;
  const body = { reason: 'a test' };
  for (const person of ['owner', 'responder-1', 'admin'] as const)
    expect((await agent.api.as(person, path, { body })).status).toBe(200);
  expect((await agent.api.send(await agent.asAgent(), path, { body })).status).toBe(200);
  for (const person of ['requester', 'security-1', 'stranger', 'auditor'] as const)
    expect((await agent.api.as(person, path, { body })).slug).toBe('forbidden');
  const server = await serverToken(agent.api, 'search-server');
  expect((await agent.api.send(server, path, { body })).slug).toBe('forbidden');
});

test('grants are listed page by page, the newest first', async () => {
  const agent = await grantedAgent();
  const granted = [await agent.granted(), await agent.granted(), await agent.granted()];
  const path = `/v1/identities/${agent.identityId}/grants?limit=2`;
  const first = (await agent.api.as('owner', path)).as(Page);
  const second = (await agent.api.as('owner', `${path}&cursor=${first.nextCursor}`)).as(Page);
  expect([...first.items, ...second.items].map(({ id }) => id)).toEqual(granted.map(({ grant }) => grant.id).reverse());
  expect(second.nextCursor).toBeNull();
});

async function evidenceOf({ api, identityId }: GrantedAgent) {
  const rows = await api.ledger.prisma.evidenceEntry.findMany({ where: { identityId, body: { contains: '"grant.' } } });
  const Entry = z.object({ kind: z.string(), actor: z.string(), data: z.record(z.string(), z.json()) });
  return rows.map(({ body }) => Entry.parse(JSON.parse(body)));
}

test('a resource server introspects as often as it is called, however many strangers try from its address', async () => {
  const agent = await grantedAgent({ limits: { perAddress: 4, perPrincipal: 1 } });
  const { token } = await agent.granted();
  for (let asked = 0; asked < 8; asked += 1) expect(await agent.introspect(token)).toMatchObject({ active: true });
  for (let asked = 0; asked < 6; asked += 1)
    expect((await postForm(agent.api, 'a', '/oauth/introspect', { token })).status).toBe(401);
  expect(await agent.introspect(token)).toMatchObject({ active: true });
});
