import { afterAll, beforeAll, expect, test } from 'vitest';
import { taskQueue } from '../../contracts/names.ts';
import { unattendedFlows } from '../protocols/faults/flows.ts';
import { expectReplayable, untilQuiet } from '../protocols/faults/outside.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { onboardingOrder, opened } from '../setup/orders.ts';

let installation: TestInstallation;
let stopWorker: () => Promise<void>;

beforeAll(async () => {
  installation = await testInstallation({ flows: unattendedFlows });
  stopWorker = await installation.startWorker();
});
afterAll(async () => {
  await stopWorker?.();
  await installation?.close();
});

test('a run whose opening was lost on the way ends by itself, and whoever asks again is served by another', async () => {
  const { client } = installation;
  const order = onboardingOrder();
  const workflowId = `onboarding/${order.identityId}`;
  const left = await client.workflow.start('onboarding', { workflowId, taskQueue, args: [] });
  await left.result();

  const { requestId } = await opened(installation, order);
  await untilQuiet(installation);
  const request = await installation.ledger.prisma.request.findUniqueOrThrow({ where: { id: requestId } });
  expect(request.state).toBe('completed');
  await expectReplayable(installation);
});
