import { afterAll, beforeAll, expect, test } from 'vitest';
import { workflowIdOf } from '../../contracts/names.ts';
import { plainFlows } from '../protocols/flows.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { decide, onboardingOrder, opened, openOrder } from '../setup/orders.ts';
import { at, reviewFlow } from '../setup/reviews.ts';

let installation: TestInstallation;
let stopWorker: () => Promise<void>;

beforeAll(async () => {
  installation = await testInstallation({ flows: [...plainFlows, reviewFlow] });
  stopWorker = await installation.startWorker();
});
afterAll(async () => {
  await stopWorker?.();
  await installation?.close();
});

test('a review takes the least history that its shape needs: no activity but the ledger’s, two decisions, two deadlines', async () => {
  const { client } = installation;
  const { identityId } = await opened(installation, onboardingOrder());
  await client.workflow.getHandle(workflowIdOf('onboarding', identityId)).result();
  const { requestId } = await opened(installation, openOrder('review', { identityId }));
  await decide(installation, { requestId, by: at('owner') });
  const last = await decide(installation, { requestId, by: at('security-1') });
  expect(last.plan).toMatchObject({ state: 'completed', done: true });
  const handle = client.workflow.getHandle(workflowIdOf('review', identityId));
  await handle.result();
  const { events } = await handle.fetchHistory();
  // DESIGN section 9: start and end, `open`, three ledger transactions, two updates, two timers that were cancelled.
  expect(events).toHaveLength(5 + 2 + 3 + 2 * 5 + 2 * 2);
});
