import type { IncomingHttpHeaders } from 'node:http';
import type { Client } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ApiClient, approve, type RequestView, waitFor } from '../../embedded/demo/apiClient.ts';
import { connectedAgent, type SteppingUp } from '../../examples/mcp-tool-server/agent.ts';
import type { Papers } from '../../examples/mcp-tool-server/papers.ts';
import { mcpToolServer } from '../../examples/mcp-tool-server/server.ts';
import { type AgentKeys, dpopProof, newAgentKeys, publicHalf } from '../../integrations/agent/agentTokens.ts';
import { type StepUpAnswer, stepUpClient } from '../../integrations/agent/stepUpClient.ts';
import { accountRequest, openStage, type StoryStage } from '../stories/embedded.ts';
import { type Listening, listening } from './listening.ts';

// The example with what `tenure up` runs: nothing here is a stand-in, and everything goes over HTTP.

const papers: Papers = new Map([
  ['research:papers/2026', 'Agents ask before they act.'],
  ['production/eu:papers/2026', 'Agents ask before they act.'],
]);
/** The headers of each message that the tool server got. */
const received: IncomingHttpHeaders[] = [];

let stage: StoryStage;
let server: Listening;
let agentId: string;
let keys: AgentKeys;

beforeAll(async () => {
  stage = await openStage();
  keys = await newAgentKeys();
  await onboarded({
    ...{ name: 'grant-signer', purpose: 'Signs grants', integration: 'tenure' },
    ...{ issuer: 'signing', scopes: ['sign'], consumers: ['system:grants'] },
  });
  const rule = {
    ...{ tool: 'search', actions: ['read', 'write'] },
    ...{ resources: ['papers/*'], workspaces: ['research', 'production/*'] },
  };
  agentId = await onboarded({
    ...{
      kind: 'agent',
      name: 'paper-agent',
      environment: 'staging',
      issuer: 'agents',
      consumers: [],
      scopes: undefined,
    },
    agent: { registration: { publicKey: publicHalf(keys.authentication) }, policy: { rules: [rule] } },
  });
  server = await listening((publicUrl) => {
    const app = mcpToolServer({
      papers,
      issuer: stage.runtime.apiUrl,
      audience: 'https://search.example.com',
      publicUrl,
      bearer: () => stage.runtime.pipelineToken('search-server'),
    });
    return (req, res) => {
      received.push(req.headers);
      app(req, res);
    };
  });
}, 240_000);
afterAll(async () => {
  await server?.close();
  await stage?.close();
});

/** Asked for by a requester, agreed to by as many of security as its flow wants. @returns the identity */
async function onboarded(change: object): Promise<string> {
  const requester = await stage.as('requester');
  let request = await requester.post<RequestView>('/v1/identities', accountRequest(change));
  for (const approver of ['security-1', 'security-2']) {
    if (request.state !== 'awaiting-approval') break;
    await approve(await stage.as(approver), request.id);
    request = await requester.get<RequestView>(`/v1/requests/${request.id}`);
  }
  await waitFor(requester, request.id, ['completed']);
  return request.identityId;
}

function steppingUp(more: Partial<SteppingUp> = {}): SteppingUp {
  const tenure = stage.runtime.apiUrl;
  return {
    tenure,
    keys,
    stepUps: stepUpClient({ url: tenure, agentId: `agent:${agentId}`, keys }),
    justification: 'Answering ticket 4711',
    ...more,
  };
}

async function connected<T>(by: SteppingUp, work: (client: Client) => Promise<T>): Promise<T> {
  const client = await connectedAgent(new URL(`${server.url}/mcp`), by);
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

const read = { name: 'read_paper', arguments: { workspace: 'research', paper: '2026' } };
const rewrite = {
  name: 'rewrite_paper',
  arguments: { workspace: 'production/eu', paper: '2026', text: 'Agents were allowed to.' },
};

test('a low risk: the call is challenged, stepped up in one round trip, and served', async () => {
  received.length = 0;
  const answers = await connected(steppingUp(), async (client) => [
    await client.callTool(read),
    await client.callTool(read),
  ]);
  for (const { content } of answers) expect(content).toEqual([{ type: 'text', text: 'Agents ask before they act.' }]);
  // Challenged once: the second call has the grant already.
  const calls = received.filter((headers) => headers['mcp-method'] === 'tools/call');
  expect(calls.map(({ authorization }) => authorization?.split(' ')[0])).toEqual([undefined, 'DPoP', 'DPoP']);
});

test('a high risk: served only after the person that it acts for and an approver agreed', {
  timeout: 120_000,
}, async () => {
  const requester = await stage.as('requester');
  const pending = Promise.withResolvers<StepUpAnswer>();
  const by = steppingUp({
    onBehalfOf: { token: await stage.runtime.tokenForAgents('requester') },
    onPending: pending.resolve,
  });
  const call = connected(by, (client) => client.callTool(rewrite));
  const tooSoon = call.then(() => Promise.reject(new Error('It was served before anybody was asked.')));
  const { id, awaiting } = await Promise.race([pending.promise, tooSoon]);
  expect(awaiting).toMatchObject([{ what: 'confirmation', stage: 'confirm' }]);

  await confirm(requester, id, 'confirm');
  await approve(await stage.as('security-1'), id);
  expect((await call).content).toEqual([
    { type: 'text', text: `Rewritten by agent:${agentId} for requester@tenure.example.` },
  ]);
  expect(papers.get('production/eu:papers/2026')).toBe('Agents were allowed to.');
});

async function confirm(person: ApiClient, requestId: string, stageId: string): Promise<void> {
  const { revision, digest } = await person.get<RequestView>(`/v1/requests/${requestId}`);
  await person.post(`/v1/requests/${requestId}/proofs`, { stage: stageId, revision, digest });
}

test('outside the policy: the call is not served, and the agent is told why', async () => {
  const elsewhere = { ...read, arguments: { ...read.arguments, workspace: 'finance' } };
  await expect(connected(steppingUp(), (client) => client.callTool(elsewhere))).rejects.toThrow(
    'workspace-outside-policy',
  );
});

describe('what a thief has', () => {
  const url = () => `${server.url}/mcp`;
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: read });
  const posted = async (headers: Record<string, string>) => {
    const answer = await fetch(url(), {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers },
      body,
    });
    const text = await answer.text();
    // What is served comes as an event stream.
    return answer.ok ? { status: answer.status, text } : { status: answer.status, error: JSON.parse(text).error };
  };
  /** The headers of a call that was served. */
  async function captured(): Promise<{ authorization: string; dpop: string }> {
    received.length = 0;
    await connected(steppingUp(), (client) => client.callTool(read));
    const { authorization = '', dpop } = received.at(-1) ?? {};
    return { authorization, dpop: String(dpop) };
  }

  test('a captured call cannot be sent again, nor its token with a proof of another key or as a bearer token', async () => {
    const { authorization, dpop } = await captured();
    const accessToken = authorization.replace('DPoP ', '');
    const proofBy = (by: AgentKeys) => dpopProof({ method: 'POST', url: url(), accessToken, keys: by });
    expect(await posted({ authorization, dpop })).toMatchObject({ status: 401, error: 'invalid_dpop_proof' });
    const ofAThief = await proofBy(await newAgentKeys());
    expect(await posted({ authorization, dpop: ofAThief })).toMatchObject({ status: 401, error: 'invalid_token' });
    expect(await posted({ authorization })).toMatchObject({ status: 401, error: 'invalid_dpop_proof' });
    const asBearer = { authorization: `Bearer ${accessToken}`, dpop: await proofBy(keys) };
    expect(await posted(asBearer)).toMatchObject({ status: 401, error: 'invalid_token' });
    // With the key it is good: nothing above failed for another reason.
    expect(await posted({ authorization, dpop: await proofBy(keys) })).toEqual({
      status: 200,
      text: expect.stringContaining('Agents ask before they act.'),
    });
  });
});

test('frozen in mid-use: the next call is refused at once, and no step-up helps', { timeout: 120_000 }, async () => {
  await connected(steppingUp(), async (client) => {
    expect((await client.callTool(read)).content).toHaveLength(1);
    const responder = await stage.as('responder');
    await responder.post('/v1/freezes', {
      identityIds: [agentId],
      reason: 'the agent was injected, ticket 4712',
      escalateAfter: 'PT4H',
    });
    received.length = 0;
    await expect(client.callTool(read)).rejects.toMatchObject({ slug: 'frozen' });
    // It was sent with the grant, which is good by itself, and it was not sent again.
    expect(received.map(({ authorization }) => authorization?.split(' ')[0])).toEqual(['DPoP']);
  });
});
