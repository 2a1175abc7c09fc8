import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { agentPrincipal } from '../../../domain/agents.ts';
import { Faults, nameOf, type Point } from '../../setup/faulty.ts';
import { type TestInstallation, testInstallation } from '../../setup/installation.ts';
import { keyedStepUpFlows, newAgent, openedStepUp, prove, stepUpFlow, stepUpOrder } from '../../setup/stepUps.ts';
import { startCrashingWorker } from './crash.ts';
import { unattendedFlows } from './flows.ts';
import { expectReplayable, expectWholeEvidence, untilQuiet } from './outside.ts';

type Order = ReturnType<typeof stepUpOrder>;

const faults = new Faults();
let installation: TestInstallation;
let agent: string;

beforeAll(async () => {
  installation = await testInstallation({
    flows: [...unattendedFlows, stepUpFlow, ...keyedStepUpFlows],
    ...faults.wraps,
  });
  agent = await newAgent(installation);
});
afterAll(() => installation?.close());

/** Granted in its first step, or after the proof of the agent's key. */
const workspaces = ['payments', 'keyed'] as const;
const workflowOf = ({ requestId }: Order) => `step-up/${requestId}`;

/** As the agent does it: what was not answered is asked again, under the same key. */
async function askUntilGranted(order: Order): Promise<void> {
  const endsAtMs = Date.now() + 120_000;
  while (Date.now() < endsAtMs) {
    await openedStepUp(installation, order)
      .then(({ plan }) =>
        plan.state === 'awaiting-proof'
          ? prove(installation, { requestId: order.requestId, by: agentPrincipal(agent) })
          : undefined,
      )
      .catch(unanswered);
    const row = await installation.ledger.prisma.request.findUnique({ where: { id: order.requestId } });
    if (row?.finishedAt != null) return;
    await wait(300);
  }
  throw new Error(`Step-up ${order.requestId} has not ended.`);
}

/** The worker is dead: it is asked again. */
function unanswered(): void {}

/** Every transaction of one such step-up that nothing interrupts, before it and after. */
async function pointsOf(workspace: string): Promise<readonly Point[]> {
  const order = stepUpOrder(agent, { workspace });
  const stopTrace = faults.trace(workflowOf(order));
  await askUntilGranted(order);
  return stopTrace().filter(({ step }) => !step.startsWith('advance(nudge)'));
}

test('a worker killed before and after each transaction of a step-up leaves one grant of it, and nobody waits for ever', async () => {
  const stopWorker = await installation.startWorker();
  const cases: { readonly order: Order; readonly point: Point }[] = [];
  for (const workspace of workspaces)
    for (const point of await pointsOf(workspace)) cases.push({ order: stepUpOrder(agent, { workspace }), point });
  await stopWorker();
  expect(new Set(cases.map(({ point }) => nameOf(point))).size).toBeGreaterThanOrEqual(4);

  const deaths = cases.map(({ order, point }) => ({ workflowId: workflowOf(order), point }));
  const dying = await startCrashingWorker(installation, { deaths });
  const asking = cases.map(({ order }) => askUntilGranted(order));
  await dying.killed;
  const stopNext = await installation.startWorker();
  try {
    await Promise.all(asking);
    await untilQuiet(installation);
  } finally {
    await stopNext();
  }

  for (const { order, point } of cases) {
    const { requestId } = order;
    const request = await installation.ledger.prisma.request.findUniqueOrThrow({ where: { id: requestId } });
    expect(request.state, nameOf(point)).toBe('completed');
    const grants = await installation.ledger.prisma.accessGrant.findMany({ where: { requestId } });
    expect(grants, nameOf(point)).toHaveLength(1);
    const told = await installation.ledger.prisma.evidenceEntry.findMany({ where: { requestId } });
    const kinds = told.map(({ body }) => (JSON.parse(body) as { kind: string }).kind);
    expect(
      kinds.filter((kind) => kind === 'grant.issued'),
      nameOf(point),
    ).toHaveLength(1);
    expect(
      kinds.filter((kind) => kind === 'request.finished'),
      nameOf(point),
    ).toHaveLength(1);
  }
  await expectWholeEvidence(installation);
  await expectReplayable(installation);
}, 240_000);
