import { randomUUID } from 'node:crypto';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ApiClient, approve, type RequestView, waitFor } from '../../embedded/demo/apiClient.ts';
import { newAgentKeys, publicHalf, thumbprint } from '../../integrations/agent/agentTokens.ts';
import { type StepUpClient, StepUpRefused, stepUpClient } from '../../integrations/agent/stepUpClient.ts';
import { accountRequest, openStage, type StoryStage } from './embedded.ts';

/** Story 2: an AI agent asks for a tool; the step-up checks risk, workspace and policy, and grants, demands more, or denies. */

let stage: StoryStage;
let requester: ApiClient;
beforeAll(async () => {
  stage = await openStage();
  requester = await stage.as('requester');
}, 120_000);
afterAll(() => stage?.close());

async function onboarded(body: object): Promise<string> {
  const { id, identityId } = await requester.post<RequestView>('/v1/identities', body);
  for (const person of ['security-1', 'security-2']) await approve(await stage.as(person), id);
  await waitFor(requester, id, ['completed']);
  return identityId;
}

/** What the tool's resource server is told of a token now. */
async function introspect(token: string): Promise<{ active: boolean }> {
  const answer = await fetch(`${stage.runtime.apiUrl}/oauth/introspect`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await stage.runtime.pipelineToken('search-server')}` },
    body: new URLSearchParams({ token }),
  });
  return (await answer.json()) as { active: boolean };
}

async function slugOf(call: Promise<unknown>): Promise<string> {
  const refused = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (refused instanceof StepUpRefused) return refused.slug;
  throw refused ?? new Error('The call was not refused.');
}

test('an agent is granted, stepped up and denied as its policy and the risk say; then it is frozen in mid-use', async () => {
  const { apiUrl: url } = stage.runtime;
  await onboarded(
    accountRequest({
      ...{ name: 'grant-signer', purpose: 'Signs grants', issuer: 'signing', scopes: ['sign'] },
      consumers: ['system:grants'],
    }),
  );
  const keys = await newAgentKeys();
  const { scopes: _none, ...agentRequest } = accountRequest({
    ...{ kind: 'agent', name: 'order-assistant', purpose: 'Answers questions about orders', issuer: 'agents' },
    consumers: [],
    agent: {
      registration: { publicKey: publicHalf(keys.authentication) },
      policy: {
        rules: [
          {
            tool: 'search',
            actions: ['read', 'write'],
            resources: ['orders/*'],
            workspaces: ['payments', 'production/*'],
          },
        ],
      },
    },
  }) as { scopes?: unknown };
  const identityId = await onboarded(agentRequest);
  const agentId = `agent:${identityId}`;
  const agent: StepUpClient = stepUpClient({ url, agentId, keys });
  const order = { tool: 'search', action: 'read', resource: 'orders/4711', workspace: 'payments' };
  const justification = 'Answering ticket 4711';

  // Of low risk and within policy: granted in one round trip, in a token that its resource server can verify.
  const granted = await agent.ask({ ...order, justification }, randomUUID());
  expect(granted).toMatchObject({ outcome: 'granted', risk: { score: 10 }, grant: { scope: 'search:read' } });
  const token = granted.grant?.accessToken ?? '';
  const { payload } = await jwtVerify(token, createRemoteJWKSet(new URL('/.well-known/jwks.json', url)), {
    ...{ issuer: url, audience: 'https://search.example.com', typ: 'at+jwt' },
  });
  expect(payload['cnf']).toEqual({ jkt: await thumbprint(keys.possession) });
  expect(await introspect(token)).toMatchObject({ active: true });

  // Outside it: denied, whoever stands behind the agent.
  const lead = { token: await stage.runtime.tokenForAgents('security-lead') };
  const denied = await agent.ask({ ...order, workspace: 'payroll', justification, onBehalfOf: lead }, randomUUID());
  expect(denied).toMatchObject({ outcome: 'denied', reason: 'workspace-outside-policy' });
  expect(denied.grant).toBeUndefined();

  // Of high risk: the person it acts for proves it, and somebody else of security approves.
  const risky = { ...order, action: 'write', workspace: 'production/eu', justification };
  const onBehalfOf = { token: await stage.runtime.tokenForAgents('requester') };
  const pending = await agent.ask({ ...risky, onBehalfOf }, randomUUID());
  expect(pending).toMatchObject({ outcome: 'pending', awaiting: [{ what: 'confirmation', stage: 'confirm' }] });
  const shown = await requester.get<RequestView & { stage: string }>(`/v1/requests/${pending.id}`);
  const { revision, digest, stage: at } = shown;
  await requester.post(`/v1/requests/${pending.id}/proofs`, { stage: at, revision, digest });
  await approve(await stage.as('security-1'), pending.id);
  const steppedUp = await agent.look(pending.id, 30);
  expect(steppedUp).toMatchObject({ outcome: 'granted', grant: { scope: 'search:write' } });
  const strong = steppedUp.grant?.accessToken ?? '';
  expect(await introspect(strong)).toMatchObject({ active: true });

  // Frozen in mid-use: what it has is worth nothing at once, and what it waits for is held.
  const waiting = await agent.ask({ ...risky, resource: 'orders/4712', onBehalfOf }, randomUUID());
  const responder = await stage.as('responder');
  const freeze = await responder.post<{ id: string }>('/v1/freezes', {
    ...{ identityIds: [identityId], reason: 'It writes what nobody asked for' },
  });
  for (const held of [token, strong]) expect(await introspect(held)).toEqual({ active: false });
  expect(await slugOf(agent.ask({ ...order, justification }, randomUUID()))).toBe('frozen');
  expect(await slugOf(agent.look(waiting.id))).toBe('frozen');
  const seen = await requester.get<RequestView & { stage: string }>(`/v1/requests/${waiting.id}`);
  expect(seen.heldBy).toMatchObject([{ kind: 'freeze' }]);
  await requester.post(`/v1/requests/${waiting.id}/proofs`, {
    ...{ stage: seen.stage, revision: seen.revision, digest: seen.digest },
  });
  await approve(await stage.as('security-1'), waiting.id);
  await waitFor(requester, waiting.id, ['held']);

  // Lifted by a second responder: it goes on, and evidence of all of it is on the agent's timeline.
  await (await stage.as('responder-2')).post(`/v1/freezes/${freeze.id}/lift`, {
    reason: 'It was a test of ours',
    override: true,
  });
  await waitFor(requester, waiting.id, ['completed']);
  expect(await agent.look(waiting.id)).toMatchObject({ outcome: 'granted' });
  const auditor = await stage.as('auditor');
  const timeline = await auditor.get<{ items: { kind: string }[] }>(`/v1/identities/${identityId}/timeline?limit=200`);
  const kinds = timeline.items.map(({ kind }) => kind);
  expect(kinds.filter((kind) => kind === 'grant.issued')).toHaveLength(3);
  expect(kinds).toEqual(expect.arrayContaining(['request.risk-assessed', 'request.frozen', 'step-up.refused']));
}, 180_000);
