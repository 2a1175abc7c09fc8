import { afterAll, beforeAll, expect, test } from 'vitest';
import { workflowIdOf } from '../../contracts/names.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { decide } from '../setup/orders.ts';
import { openedPublication, plainFlow, publicationFlows, publicationOrder } from '../setup/publications.ts';
import { at } from '../setup/reviews.ts';
import { leastEvents } from './leastEvents.ts';

let installation: TestInstallation;
let stopWorker: () => Promise<void>;

beforeAll(async () => {
  installation = await testInstallation({ flows: [...publicationFlows, plainFlow('rotated')] });
  stopWorker = await installation.startWorker();
});
afterAll(async () => {
  await stopWorker?.();
  await installation?.close();
});

test('a publication takes the least history that its shape needs: no activity but the ledger’s, one decision, one deadline', async () => {
  const order = await publicationOrder(installation, { sources: [plainFlow('rotated', 2)] });
  const { requestId } = await openedPublication(installation, order);
  const { plan } = await decide(installation, { requestId, by: at('security-1') });
  expect(plan).toMatchObject({ state: 'completed', done: true, effects: [] });
  const handle = installation.client.workflow.getHandle(workflowIdOf('publication', requestId));
  await handle.result();
  const { events } = await handle.fetchHistory();
  expect(events).toHaveLength(leastEvents({ local: 2, decisions: 1, timersCancelled: 1 }));
});
