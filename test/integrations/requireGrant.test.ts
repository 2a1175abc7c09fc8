import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { dpopAlgorithms } from '../../integrations/resource-server/dpopProof.ts';
import { onceInMemory, ReplayMemoryFull } from '../../integrations/resource-server/onceInMemory.ts';
import { type GrantRules, grantOf, requireGrant } from '../../integrations/resource-server/requireGrant.ts';
import { dpopKey } from './dpopKey.ts';
import { agent, audience, type GrantIssuer, grantIssuer, signingKey } from './grantIssuer.ts';
import { called, proofFor, sent, type ToolServer, toolServer } from './toolServer.ts';

const key = dpopKey();
const servers: ToolServer[] = [];
let issuer: GrantIssuer;

beforeAll(async () => {
  issuer = await grantIssuer();
});
afterAll(() => issuer.close());
beforeEach(() => {
  issuer.seen.introspections.length = 0;
});
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function tool(rules: Partial<GrantRules> = {}): Promise<ToolServer> {
  const server = await toolServer(issuer, rules);
  servers.push(server);
  return server;
}
const papers = ({ url }: ToolServer) => `${url}/papers/2026`;

describe('a grant for exactly this call', () => {
  test('lets it in, and the handler sees for whom', async () => {
    const server = await tool();
    const url = papers(server);
    expect(await called(key, { url, token: await issuer.token(key) })).toMatchObject({
      status: 200,
      body: { served: true },
    });
    const [grant] = server.served;
    expect(grant).toMatchObject({ agent, scopes: ['search:read'], resource: 'papers/2026', workspace: 'research' });
    expect(grant).not.toHaveProperty('onBehalfOf');
    expect(grant?.expiresAt.getTime()).toBeGreaterThan(Date.now());
  });

  test('tells a person who was verified from one who was only named', async () => {
    const server = await tool();
    const url = papers(server);
    const verified = await issuer.token(key, { claims: { sub: 'pat@example.com', act: { sub: agent } } });
    const asserted = await issuer.token(key, { claims: { asserted_sub: 'pat@example.com' } });
    await called(key, { url, token: verified });
    await called(key, { url, token: asserted });
    expect(server.served.map(({ onBehalfOf }) => onBehalfOf)).toEqual([
      { person: 'pat@example.com', isVerified: true },
      { person: 'pat@example.com', isVerified: false },
    ]);
  });

  test('is good for many calls, each with its own proof, whatever their query is', async () => {
    const server = await tool();
    const token = await issuer.token(key);
    for (const query of ['', '?page=2', '?page=3#end'])
      expect((await called(key, { url: papers(server) + query, token })).status).toBe(200);
    expect(server.served).toHaveLength(3);
  });

  test('stays good while the issuer rotates its keys, and a new key is found without a restart', async () => {
    const fresh = await grantIssuer();
    try {
      const server = await toolServer(fresh);
      servers.push(server);
      const url = papers(server);
      const before = await fresh.token(key);
      // Published before it signs, as Tenure does: whoever fetches now knows both.
      fresh.keys.push(await signingKey());
      const after = await fresh.token(key);
      expect((await called(key, { url, token: before })).status).toBe(200);
      expect((await called(key, { url, token: after })).status).toBe(200);
      expect(fresh.seen.keys).toBe(1);
    } finally {
      await fresh.close();
    }
  });

  test('is not needed for a call that needs nothing, which then has no grant to show', async () => {
    const server = await tool();
    expect(await sent(`${server.url}/open`)).toMatchObject({ status: 200, body: { open: true } });
    const unguarded = {} as Parameters<typeof grantOf>[0];
    expect(() => grantOf(unguarded)).toThrow(TypeError);
  });
});

describe('a challenge', () => {
  const stepUp = { tool: 'search', resource: 'papers/2026', workspace: 'research' };

  test('names the step-up to ask for, in the header for any client and in the body for an agent', async () => {
    const server = await tool({ resourceMetadata: `${audience}/.well-known/oauth-protected-resource` });
    const answer = await sent(papers(server), { method: 'POST' });
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toBe(
      `DPoP scope="search:write", algs="${dpopAlgorithms.join(' ')}", resource_metadata="${audience}/.well-known/oauth-protected-resource"`,
    );
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(answer.body.step_up).toEqual({ endpoint: `${issuer.url}/v1/step-ups`, action: 'write', ...stepUp });
  });

  test('says insufficient_scope when the grant is for another action, resource or workspace', async () => {
    const server = await tool();
    const url = papers(server);
    const others = [
      { scope: 'search:write' },
      { scope: 'other:read' },
      { scope: 'search:readwrite' },
      { tenure_resource: 'papers' },
      { tenure_resource: 'papers/*' },
      { tenure_resource: 'papers/2026/' },
      { tenure_workspace: 'Research' },
    ];
    for (const claims of others) {
      const answer = await called(key, { url, token: await issuer.token(key, { claims }) });
      expect(answer.status, JSON.stringify(claims)).toBe(403);
      expect(answer.headers['www-authenticate']).toMatch(/^DPoP error="insufficient_scope", .*scope="search:read"/);
      expect(answer.body).toMatchObject({ error: 'insufficient_scope', step_up: { action: 'read', ...stepUp } });
    }
    expect(server.served).toEqual([]);
  });

  test('says insufficient_user_authentication when the person was only named and must have been verified', async () => {
    const server = await tool({
      needs: () => ({ action: 'read', resource: 'papers/2026', workspace: 'research', person: 'verified' }),
    });
    const url = papers(server);
    for (const claims of [{}, { asserted_sub: 'pat@example.com' }]) {
      const answer = await called(key, { url, token: await issuer.token(key, { claims }) });
      expect(answer.status).toBe(401);
      expect(answer.headers['www-authenticate']).toContain('error="insufficient_user_authentication"');
      expect(answer.body.step_up).toMatchObject({ ...stepUp, on_behalf_of: 'token' });
    }
    const token = await issuer.token(key, { claims: { sub: 'pat@example.com', act: { sub: agent } } });
    expect((await called(key, { url, token })).status).toBe(200);
  });

  test('says who must have signed in, and when, and lets in only whoever did', async () => {
    const fresh = { action: 'read', resource: 'papers/2026', workspace: 'research', person: { maxAgeSeconds: 300 } };
    const server = await tool({ needs: () => fresh });
    const url = papers(server);
    const nowSeconds = Math.floor(Date.now() / 1000);
    const forPerson = { sub: 'pat@example.com', act: { sub: agent } };
    for (const claims of [{}, forPerson, { ...forPerson, auth_time: nowSeconds - 400 }, { auth_time: nowSeconds }]) {
      const answer = await called(key, { url, token: await issuer.token(key, { claims }) });
      expect([answer.status, answer.body.error]).toEqual([401, 'insufficient_user_authentication']);
      expect(answer.headers['www-authenticate']).toMatch(/acr_values="urn:tenure:acr:person", max_age="300"/);
    }
    const claims = { ...forPerson, auth_time: nowSeconds - 10 };
    expect((await called(key, { url, token: await issuer.token(key, { claims }) })).status).toBe(200);
  });

  test('is a header that any parser reads, whatever the call asked for', async () => {
    const server = await tool({
      needs: () => ({ action: 'read', resource: 'a"b\\c\u202e\r\nSet-Cookie: x', workspace: 'research' }),
    });
    const answer = await sent(papers(server));
    expect(answer.body.step_up.resource).toBe('a"b\\c\u202e\r\nSet-Cookie: x');
    const token = await issuer.token(key);
    const withoutClaim = await issuer.token(key, { claims: { tenure_resource: undefined } });
    const answers = [
      answer,
      await called(key, { url: papers(server), token: withoutClaim }),
      await sent(papers(server), {
        target: '/papers/a"b',
        headers: [
          ['Authorization', `DPoP ${token}`],
          ['DPoP', proofFor(key, { url: papers(server), token })],
        ],
      }),
    ];
    for (const { status, headers } of answers) {
      expect(status).toBe(401);
      expect(headers['set-cookie']).toBeUndefined();
      expect(headers['www-authenticate']).toMatch(/^DPoP( [a-z_]+="[\x20\x21\x23-\x5b\x5d-\x7e]*",?)+$/);
    }
  });
});

describe('introspection', () => {
  const bearer = () => 'token-of-the-pipeline';

  test('asks at each call, so that a grant ends with the next one', async () => {
    const server = await tool({ introspect: { scopes: 'all', bearer } });
    const call = { url: papers(server), token: await issuer.token(key) };
    expect((await called(key, call)).status).toBe(200);
    issuer.inactive.add(call.token);
    const answer = await called(key, call);
    expect(answer).toMatchObject({ status: 401, body: { error: 'invalid_token', step_up: { tool: 'search' } } });
    issuer.inactive.delete(call.token);
    expect((await called(key, call)).status).toBe(200);
    expect(issuer.seen.introspections).toEqual(
      Array(3).fill({ authorization: 'Bearer token-of-the-pipeline', token: call.token }),
    );
  });

  test('is for the named scopes only, where they are named', async () => {
    const server = await tool({ introspect: { scopes: ['search:write'], bearer } });
    const url = papers(server);
    const read = await issuer.token(key);
    const write = await issuer.token(key, { claims: { scope: 'search:read search:write' } });
    issuer.inactive.add(read).add(write);
    expect((await called(key, { url, token: read })).status).toBe(200);
    expect((await called(key, { url, method: 'POST', token: write })).status).toBe(401);
  });

  test('is not asked about what is refused anyway', async () => {
    const server = await tool({ introspect: { scopes: 'all', bearer } });
    const url = papers(server);
    const token = await issuer.token(key);
    await sent(url);
    await called(dpopKey(), { url, token });
    await called(key, { url, method: 'POST', token });
    expect(issuer.seen.introspections).toEqual([]);
  });
});

describe('rules under which nothing could be trusted are refused at start', () => {
  const rules: GrantRules = {
    issuer: 'https://tenure.example.com',
    tool: 'search',
    audience,
    publicUrl: audience,
    needs: () => 'nothing',
    introspect: 'never',
  };
  test('they are accepted as they should be, and on one machine', () => {
    expect(() => requireGrant(rules)).not.toThrow();
    expect(() =>
      requireGrant({ ...rules, issuer: 'http://127.0.0.1:8080', publicUrl: 'http://[::1]:1' }),
    ).not.toThrow();
  });
  test.each<Partial<GrantRules>>([
    { issuer: 'http://tenure.example.com' },
    { issuer: 'tenure' },
    { publicUrl: 'search.example.com' },
    { publicUrl: 'ftp://search.example.com' },
    { introspect: { scopes: ['serch:write'], bearer: () => '' } },
  ])('%j', (wrong) => {
    expect(() => requireGrant({ ...rules, ...wrong })).toThrow(TypeError);
  });
});

describe('needs', () => {
  // What a handler's author may get wrong; each is the server's fault, and none lets a call in.
  test.each<[string, unknown]>([
    ['throws', () => Promise.reject(new Error('the body is not as it must be'))],
    ['forgets to answer', () => undefined],
    ['leaves out the resource', () => ({ action: 'read', workspace: 'research' })],
    ['leaves the workspace empty', () => ({ action: 'read', resource: 'papers/2026', workspace: '' })],
    ['names no action', () => ({ action: '', resource: 'papers/2026', workspace: 'research' })],
    ['names two scopes', () => ({ action: 'read search:write', resource: 'papers/2026', workspace: 'research' })],
  ])('that %s lets nobody in', async (_what, needs) => {
    const server = await tool({ needs: needs as GrantRules['needs'] });
    const token = await issuer.token(key, { claims: { tenure_workspace: '', scope: 'search: search:read' } });
    expect((await called(key, { url: papers(server), token })).status).toBe(500);
    expect(server.served).toEqual([]);
  });
});

describe('the memory of proofs', () => {
  test('forgets a proof when it would be refused for its age, and not before', () => {
    const once = onceInMemory({ mostValues: 2 });
    const past = new Date(Date.now() - 1);
    const future = new Date(Date.now() + 60_000);
    expect(once('a', future)).toBe(true);
    expect(once('a', future)).toBe(false);
    expect(once('b', future)).toBe(true);
    expect(() => once('c', future)).toThrow(ReplayMemoryFull);
    expect(once('a', future)).toBe(false);
    const emptied = onceInMemory({ mostValues: 1 });
    for (const value of ['a', 'b', 'c']) expect(emptied(value, past)).toBe(true);
  });

  test('refuses everyone when it is full, and says so; nothing that it knows is forgotten', async () => {
    const server = await tool({ useOnce: onceInMemory({ mostValues: 1 }) });
    const call = { url: papers(server), token: await issuer.token(key) };
    expect((await called(key, call)).status).toBe(200);
    expect(await called(key, call)).toMatchObject({ status: 503, body: { error: 'temporarily_unavailable' } });
    expect(server.outages).toEqual([expect.any(ReplayMemoryFull)]);
  });
});
