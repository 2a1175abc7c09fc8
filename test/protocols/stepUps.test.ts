import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { agentPrincipal } from '../../domain/agents.ts';
import { parseFlow } from '../../domain/flow/parse.ts';
import { parseRecords } from '../../domain/flow/recordedRequest.ts';
import { simulate } from '../../domain/flow/simulate.ts';
import { advanceRequest } from '../../ledger/advance.ts';
import { openFreeze } from '../../ledger/freezes.ts';
import { openRequest } from '../../ledger/open.ts';
import { recordedRequests } from '../../ledger/queries/recordedRequests.ts';
import { revokeNow } from '../../ledger/revoke.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { openOrder, signedDecision } from '../setup/orders.ts';
import { repeated } from '../setup/repeated.ts';
import { keyedStepUpFlows, newAgent, riskyOrder, stepUpFlow, stepUpOrder } from '../setup/stepUps.ts';
import { plainFlows } from './flows.ts';

/** Grants against freezes and revocations: real transactions against one another, and what is left when an agent is revoked. */

let installation: TestInstallation;
beforeAll(async () => {
  installation = await testInstallation({ flows: [...plainFlows, stepUpFlow, ...keyedStepUpFlows] });
});
afterAll(() => installation.close());

const responder = 'responder@tenure.example';
const open = (order: ReturnType<typeof stepUpOrder>) => repeated(() => openRequest(installation.ledger, order), 10);
const requestOf = (id: string) => installation.ledger.prisma.request.findUniqueOrThrow({ where: { id } });
const grantsOf = (identityId: string) =>
  installation.ledger.prisma.accessGrant.findMany({ where: { identityId }, orderBy: { issuedAt: 'asc' } });

function freezeOf(identityId: string) {
  const freeze = { id: randomUUID(), identityIds: [identityId], integrations: [], reason: 'incident', by: responder };
  return repeated(() => openFreeze(installation.ledger, freeze), 10);
}

function revocationOf(identityId: string) {
  const order = openOrder('revocation', { identityId, principal: responder, trigger: 'incident' });
  return repeated(() => revokeNow(installation.ledger, { ...order, kind: 'revocation' }), 10);
}

async function evidenceOf(identityId: string): Promise<readonly { kind: string; data: { reason?: string } }[]> {
  const rows = await installation.ledger.prisma.evidenceEntry.findMany({
    where: { identityId },
    orderBy: { id: 'asc' },
  });
  return rows.map(({ body }) => JSON.parse(body));
}

const rounds = 6;
const perRound = 5;

test('no grant is given after a freeze has taken effect, however they race', async () => {
  let granted = 0;
  let refused = 0;
  for (let round = 0; round < rounds; round++) {
    const agent = await newAgent(installation);
    const asked = Array.from({ length: perRound }, () => open(stepUpOrder(agent)));
    const { createdAt: frozenAt } = await freezeOf(agent).then(() =>
      installation.ledger.prisma.freeze.findFirstOrThrow({ where: { identityIds: { has: agent } } }),
    );
    for (const result of await Promise.all(asked)) {
      if (result.opened) granted += 1;
      else refused += result.slug === 'frozen' ? 1 : 0;
    }
    for (const { issuedAt } of await grantsOf(agent))
      expect(issuedAt.getTime()).toBeLessThanOrEqual(frozenAt.getTime());
    expect((await open(stepUpOrder(agent))).opened).toBe(false);
  }
  expect(granted + refused).toBe(rounds * perRound);
});

test('a proof that races a freeze is granted before it or held by it, never after', async () => {
  for (let round = 0; round < rounds; round++) {
    const agent = await newAgent(installation);
    const { requestId } = stepUpOrder(agent, { workspace: 'keyed' });
    const opened = await open(stepUpOrder(agent, { workspace: 'keyed' }, { requestId }));
    if (!opened.opened) throw new Error(opened.detail);
    const decision = await signedDecision(installation, {
      ...{ requestId, by: agentPrincipal(agent), verdict: 'confirm' },
      change: { authenticatedAt: new Date().toISOString() },
    });
    const event = { kind: 'decision', id: `decision:${decision.id}`, decision } as const;
    const [{ plan }] = await Promise.all([
      repeated(() => advanceRequest(installation.ledger, { requestId, event }), 10),
      freezeOf(agent),
    ]);
    const grants = await grantsOf(agent);
    expect(plan.state).toBe(grants.length === 1 ? 'completed' : 'held');
    const freeze = await installation.ledger.prisma.freeze.findFirstOrThrow({ where: { identityIds: { has: agent } } });
    for (const { issuedAt } of grants) expect(issuedAt.getTime()).toBeLessThanOrEqual(freeze.createdAt.getTime());
  }
});

test('a revocation cancels what an agent waits for, each with evidence, and nothing is granted after it', async () => {
  const agent = await newAgent(installation);
  const waiting = await Promise.all([open(stepUpOrder(agent, { workspace: 'keyed' })), open(riskyOrder(agent))]);
  await revocationOf(agent);
  for (const result of waiting) {
    if (!result.opened) throw new Error(result.detail);
    expect(await requestOf(result.requestId)).toMatchObject({ state: 'cancelled', reason: 'revoking' });
  }
  const ended = (await evidenceOf(agent)).filter(
    ({ kind, data }) => kind === 'request.finished' && data.reason === 'revoking',
  );
  expect(ended).toHaveLength(2);
  expect(await open(stepUpOrder(agent))).toMatchObject({ opened: false, slug: 'not-active' });
  expect(await grantsOf(agent)).toEqual([]);
});

test('grants and a revocation race: what was granted came before it, and all else was refused', async () => {
  for (let round = 0; round < rounds; round++) {
    const agent = await newAgent(installation);
    const asked = Array.from({ length: perRound }, () => open(stepUpOrder(agent)));
    await revocationOf(agent);
    const results = await Promise.all(asked);
    expect(await grantsOf(agent)).toHaveLength(results.filter(({ opened }) => opened).length);
    for (const result of results) if (!result.opened) expect(result.slug).toBe('not-active');
    expect((await open(stepUpOrder(agent))).opened).toBe(false);
  }
});

test('the same order again, also at once and after it ended, finds the same grant', async () => {
  const agent = await newAgent(installation);
  const order = stepUpOrder(agent);
  const results = await Promise.all(Array.from({ length: 4 }, () => open(order)));
  expect(results.filter((result) => result.opened && result.created)).toHaveLength(1);
  expect(await open(order)).toMatchObject({ opened: true, created: false, requestId: order.requestId });
  expect(await grantsOf(agent)).toHaveLength(1);
  expect(await open({ ...order, bodyDigest: 'f'.repeat(64) })).toMatchObject({ opened: false, slug: 'key-reused' });
});

test('an order in the name of another agent, or of what is none, opens nothing', async () => {
  const [agent, other] = [await newAgent(installation), await newAgent(installation)];
  expect(await open(stepUpOrder(agent, {}, { principal: agentPrincipal(other) }))).toMatchObject({ slug: 'not-found' });
  expect(await open(stepUpOrder(agent, {}, { principal: 'requester@tenure.example' }))).toMatchObject({
    slug: 'not-found',
  });
  expect(await grantsOf(agent)).toEqual([]);
});

test('a grant leaves evidence of what it is for, of the risk, and of the key that it is bound to, and no token', async () => {
  const agent = await newAgent(installation);
  await open(stepUpOrder(agent, { jkt: 'its-thumbprint', isOnBehalfVerified: true }, { onBehalfOf: responder }));
  const told = await evidenceOf(agent);
  expect(told.map(({ kind }) => kind)).toEqual([
    ...['request.opened', 'grant.issued', 'request.risk-assessed'],
    ...Array.from({ length: 9 }, () => expect.stringMatching(/^request\.stage-/)),
    'request.finished',
  ]);
  const [, issued] = told;
  expect(issued?.data).toMatchObject({ tool: 'search', action: 'read', resource: 'orders/1', jkt: 'its-thumbprint' });
  expect(JSON.stringify(told)).not.toContain(responder);
});

test('step-ups are recorded as they were, so that a new flow can be played on them', async () => {
  const agent = await newAgent(installation);
  await open(stepUpOrder(agent));
  await open(stepUpOrder(agent, { workspace: 'elsewhere' }));
  const { requestId } = riskyOrder(agent);
  await open({ ...riskyOrder(agent), requestId });
  const by = 'requester@tenure.example';
  const change = { authenticatedAt: new Date().toISOString() };
  const decision = await signedDecision(installation, { requestId, by, verdict: 'confirm', change });
  await advanceRequest(installation.ledger, {
    ...{ requestId, event: { kind: 'decision', id: `decision:${decision.id}`, decision } },
  });
  const lines: string[] = [];
  for await (const record of recordedRequests(installation.ledger.prisma, { flowName: 'step-up-default' }))
    if ('subject' in record.facts && record.facts.subject.id === agent) lines.push(JSON.stringify(record));
  const parsed = parseRecords(lines.join('\n'));
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.mistakes));
  const read = parseFlow(stepUpFlow, 'f');
  if (!read.ok) throw new Error('the shipped flow does not parse');
  const { flow } = read;
  const looser = { ...flow, stages: flow.stages.filter(({ id }) => id !== 'workspace') };
  expect(simulate(flow, flow, parsed.requests)).toMatchObject({ played: 3, changed: [], unlike: [] });
  // What the stage denied, the grant itself refuses: with its own reason.
  expect(simulate(flow, looser, parsed.requests).changed).toMatchObject([
    { before: { reason: 'workspace-outside-policy' }, after: { outcome: 'denied', reason: 'outside-policy' } },
  ]);
});
