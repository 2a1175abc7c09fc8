import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Papers } from '../../examples/mcp-tool-server/papers.ts';
import { mcpToolServer } from '../../examples/mcp-tool-server/server.ts';
import { dpopKey } from '../integrations/dpopKey.ts';
import { agent, audience, type GrantIssuer, grantIssuer } from '../integrations/grantIssuer.ts';
import { proofFor } from '../integrations/toolServer.ts';
import { type Listening, listening } from './listening.ts';

// What the example server serves to whom; the grants come from an issuer of the test. With Tenure: mcpToolServer.test.ts.

const key = dpopKey();
const papers: Papers = new Map();
let issuer: GrantIssuer;
let server: Listening;

beforeAll(async () => {
  issuer = await grantIssuer();
  server = await listening((url) =>
    mcpToolServer({ papers, issuer: issuer.url, audience, publicUrl: url, bearer: () => 'token-of-the-pipeline' }),
  );
});
afterAll(async () => {
  await server.close();
  await issuer.close();
});
beforeEach(() => {
  papers.clear();
  papers.set('research:papers/2026', 'Agents ask before they act.');
});

const read = { name: 'read_paper', arguments: { workspace: 'research', paper: '2026' } };

/** One message as it is, with a grant for `read` if asked for. */
async function posted(body: unknown, { scope }: { scope?: string } = {}, headers: Record<string, string> = {}) {
  const url = `${server.url}/mcp`;
  const token = scope === undefined ? undefined : await issuer.token(key, { claims: { scope } });
  const answer = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...headers,
      ...(token === undefined
        ? {}
        : { authorization: `DPoP ${token}`, dpop: proofFor(key, { url, method: 'POST', token }) }),
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: answer.status, headers: answer.headers, text: await answer.text() };
}

function call(params: unknown) {
  return { jsonrpc: '2.0', id: 1, method: 'tools/call', params };
}

describe('without a grant', () => {
  test.each(['auto', 'legacy'] as const)('anyone may ask what tools there are, and call none: %s', async (mode) => {
    const client = new Client({ name: 'stranger', version: '1.0.0' }, { versionNegotiation: { mode } });
    await client.connect(new StreamableHTTPClientTransport(new URL(`${server.url}/mcp`)));
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toEqual(['read_paper', 'rewrite_paper']);
    await expect(client.callTool(read)).rejects.toThrow();
    await client.close();
  });

  test('a call is challenged with the step-up for its action, paper and workspace', async () => {
    const { status, headers, text } = await posted(call(read));
    expect(status).toBe(401);
    const metadata = `${server.url}/.well-known/oauth-protected-resource/mcp`;
    expect(headers.get('www-authenticate')).toContain(`scope="search:read"`);
    expect(headers.get('www-authenticate')).toContain(`resource_metadata="${metadata}"`);
    expect(JSON.parse(text).step_up).toEqual({
      endpoint: `${issuer.url}/v1/step-ups`,
      ...{ tool: 'search', action: 'read', resource: 'papers/2026', workspace: 'research' },
    });
    expect(await (await fetch(metadata)).json()).toMatchObject({
      resource: `${server.url}/mcp`,
      authorization_servers: [issuer.url],
      scopes_supported: ['search:read', 'search:write'],
      dpop_bound_access_tokens_required: true,
    });
  });

  test('a call cannot hide: in a batch, behind another method, in a header, under another tool', async () => {
    const listed = { jsonrpc: '2.0', id: 2, method: 'tools/list' };
    const hidden: [unknown, Record<string, string>?][] = [
      [[listed, call(read)]],
      [[call(read)]],
      [{ ...call(read), method: 'Tools/Call' }],
      [{ ...call(read), method: 'resources/read' }],
      [{ ...call(read), method: ['tools/call'] }],
      [call({ ...read, name: 'constructor' })],
      [call({ ...read, name: 'delete_paper' })],
      [call({ ...read, arguments: { ...read.arguments, paper: '../2026' } })],
      [call({ ...read, arguments: { ...read.arguments, more: true } })],
      [call({ name: 'read_paper' })],
      ['{"method":"tools/list"'],
      ['"tools/list"'],
      [''],
      ['{"jsonrpc":"2.0","method":"tools/list","method":"tools/call"}'],
      [call(read), { 'content-type': 'text/plain' }],
    ];
    for (const [body, headers] of hidden) {
      const { status, text } = await posted(body, {}, headers);
      expect(status, JSON.stringify(body)).toBe(400);
      expect(text).not.toContain('Agents ask');
    }
    const named = await posted(listed, {}, { 'mcp-method': 'tools/call', 'mcp-name': 'read_paper' });
    expect(named.text).not.toContain('Agents ask');
  });

  test('there is nothing but POST', async () => {
    for (const method of ['GET', 'DELETE', 'PUT'])
      expect((await fetch(`${server.url}/mcp`, { method })).status).toBe(405);
  });
});

describe('with a grant', () => {
  test('the call that it is for is served, and no other', async () => {
    const served = await posted(call(read), { scope: 'search:read' });
    expect(served.text).toContain('Agents ask before they act.');
    const rewrite = call({ name: 'rewrite_paper', arguments: { ...read.arguments, text: 'Agents act.' } });
    const others = [
      rewrite,
      call({ ...read, arguments: { ...read.arguments, paper: '2025' } }),
      call({ ...read, arguments: { ...read.arguments, workspace: 'finance' } }),
    ];
    for (const other of others) expect((await posted(other, { scope: 'search:read' })).status).toBe(403);
    expect(papers.get('research:papers/2026')).toBe('Agents ask before they act.');
    expect((await posted(rewrite, { scope: 'search:write' })).text).toContain(`Rewritten by ${agent} for itself.`);
    expect(papers.get('research:papers/2026')).toBe('Agents act.');
  });
});
