import { afterAll, beforeAll, expect, test } from 'vitest';
import { agentPrincipal } from '../../domain/agents.ts';
import { unattendedFlows } from '../protocols/faults/flows.ts';
import { expectReplayable } from '../protocols/faults/outside.ts';
import { eventually } from '../setup/eventually.ts';
import { Faults } from '../setup/faulty.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { signedDecision } from '../setup/orders.ts';
import { keyedStepUpFlows, newAgent, openedStepUp, stepUpOrder } from '../setup/stepUps.ts';

const faults = new Faults();
let installation: TestInstallation;
let stopWorker: () => Promise<void>;

beforeAll(async () => {
  installation = await testInstallation({ flows: [...unattendedFlows, ...keyedStepUpFlows], ...faults.wraps });
  stopWorker = await installation.startWorker();
});
afterAll(async () => {
  await stopWorker?.();
  await installation?.close();
});

test('a decision that counted while nobody could be told is found by the run itself, without anybody asking again', async () => {
  const agent = await newAgent(installation);
  const order = stepUpOrder(agent, { workspace: 'keyed' });
  const { requestId } = order;
  const workflowId = `step-up/${requestId}`;
  await openedStepUp(installation, order);
  const committed = { step: 'advance(decision): ledger.transaction', when: 'after', occurrence: 1 } as const;
  // The first attempt is given up after 4 s, and the whole of them after 5.
  const silences = [1, 2].map(() => faults.hang(workflowId, committed));
  const decision = await signedDecision(installation, {
    requestId,
    by: agentPrincipal(agent),
    verdict: 'confirm',
    change: { authenticatedAt: new Date().toISOString() },
  });
  await expect(installation.gateway.decide(order, decision)).rejects.toThrow();

  const request = await installation.ledger.prisma.request.findUniqueOrThrow({ where: { id: requestId } });
  expect(request.state).toBe('completed');
  await eventually(async () => {
    const { status } = await installation.client.workflow.getHandle(workflowId).describe();
    expect(status.name).toBe('COMPLETED');
  });
  for (const { release } of silences) release();
  await expectReplayable(installation);
});
