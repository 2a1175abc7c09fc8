import { afterAll, beforeAll, expect, test } from 'vitest';
import { workflowIdOf } from '../../contracts/names.ts';
import { agentPrincipal } from '../../domain/agents.ts';
import { plainFlows } from '../protocols/flows.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { decide } from '../setup/orders.ts';
import { at } from '../setup/reviews.ts';
import {
  keyedStepUpFlows,
  newAgent,
  openedStepUp,
  prove,
  riskyOrder,
  stepUpFlow,
  stepUpOrder,
} from '../setup/stepUps.ts';
import { leastEvents } from './leastEvents.ts';

let installation: TestInstallation;
let stopWorker: () => Promise<void>;
let agent: string;

beforeAll(async () => {
  installation = await testInstallation({ flows: [...plainFlows, stepUpFlow, ...keyedStepUpFlows] });
  stopWorker = await installation.startWorker();
  agent = await newAgent(installation);
});
afterAll(async () => {
  await stopWorker?.();
  await installation?.close();
});

async function eventsOf(requestId: string): Promise<number | undefined> {
  const handle = installation.client.workflow.getHandle(workflowIdOf('step-up', requestId));
  await handle.result();
  return (await handle.fetchHistory()).events?.length;
}

const grantOf = (requestId: string) => installation.ledger.prisma.accessGrant.findUnique({ where: { requestId } });

test('a grant of low risk: one update, one ledger transaction, and the answer says that it is granted', async () => {
  const { requestId, plan } = await openedStepUp(installation, stepUpOrder(agent));
  expect(plan).toMatchObject({ state: 'completed', done: true, effects: [] });
  expect(await grantOf(requestId)).toMatchObject({
    identityId: agent,
    tool: 'search',
    action: 'read',
    revokedAt: null,
  });
  expect(await eventsOf(requestId)).toBe(leastEvents({ local: 1 }));
});

test('a denial takes no more', async () => {
  const { requestId, plan } = await openedStepUp(installation, stepUpOrder(agent, { workspace: 'elsewhere' }));
  expect(plan).toMatchObject({ state: 'denied', done: true });
  expect(await grantOf(requestId)).toBeNull();
  expect(await eventsOf(requestId)).toBe(leastEvents({ local: 1 }));
});

test('a proof by the agent’s key: one update more, and the timer of the request’s end cancelled', async () => {
  const { requestId, plan } = await openedStepUp(installation, stepUpOrder(agent, { workspace: 'keyed' }));
  expect(plan).toMatchObject({ state: 'awaiting-proof' });
  expect(await prove(installation, { requestId, by: agentPrincipal(agent) })).toMatchObject({
    verdict: { accepted: true },
    plan: { state: 'completed' },
  });
  expect(await grantOf(requestId)).not.toBeNull();
  expect(await eventsOf(requestId)).toBe(leastEvents({ local: 2, decisions: 1, timersCancelled: 1 }));
});

test('stepped up by the person and an approver: two updates, and a deadline for each', async () => {
  const { requestId } = await openedStepUp(installation, riskyOrder(agent, at('requester')));
  await prove(installation, { requestId, by: at('requester') });
  const { plan } = await decide(installation, { requestId, by: at('security-1') });
  expect(plan).toMatchObject({ state: 'completed', done: true });
  expect(await grantOf(requestId)).toMatchObject({ onBehalfOf: at('requester'), isOnBehalfVerified: true });
  expect(await eventsOf(requestId)).toBe(leastEvents({ local: 3, decisions: 2, timersCancelled: 2 }));
});
