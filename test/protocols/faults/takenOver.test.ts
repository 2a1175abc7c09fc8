import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestInstallation, testInstallation } from '../../setup/installation.ts';
import { onboardingOrder, openOrder } from '../../setup/orders.ts';
import { unattendedFlows } from './flows.ts';
import { expectReplayable, untilQuiet } from './outside.ts';

let installation: TestInstallation;

beforeAll(async () => {
  installation = await testInstallation({ flows: unattendedFlows, leaseMs: 4_000 });
});
afterAll(async () => {
  await installation?.close();
});

test('a request that a client asked for again and again while no worker ran can be taken over by any later worker', async () => {
  const onboarding = onboardingOrder();
  await askedThrice(onboarding);
  let stopWorker = await installation.startWorker();
  await untilQuiet(installation);
  await stopWorker();

  await askedThrice(openOrder('revocation', { identityId: onboarding.identityId }));
  stopWorker = await installation.startWorker();
  await untilQuiet(installation);
  await stopWorker();

  const identity = await installation.ledger.prisma.identity.findUniqueOrThrow({
    where: { id: onboarding.identityId },
  });
  expect(identity.state).toBe('revoked');
  await expectReplayable(installation);
});

/** Nobody answers: Temporal keeps all three for the first worker that comes. */
async function askedThrice(order: ReturnType<typeof openOrder>): Promise<void> {
  const answers = await Promise.allSettled([1, 2, 3].map(() => installation.gateway.open(order)));
  expect(answers.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
}
