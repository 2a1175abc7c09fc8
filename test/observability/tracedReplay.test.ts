import type { Client } from '@temporalio/client';
import { OpenTelemetryWorkflowClientInterceptor } from '@temporalio/interceptors-opentelemetry';
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TemporalGateway, temporalGateway } from '../../api/temporalGateway.ts';
import { dataConverter } from '../../configuration/dataConverter.ts';
import { noTraceSinks } from '../../observability/tracing.ts';
import { workflowBundle } from '../../worker/bundle.ts';
import { eventually } from '../setup/eventually.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { onboardingOrder, openOrder } from '../setup/orders.ts';

const flow = (on: string, stages: string, limits = '') => `
apiVersion: tenure/v1
kind: Flow
metadata: {name: ${on}, owner: tests, description: no approval}
on: ${on}
subject: {}
${limits}
stages: [${stages}]
`;
const flows = [
  flow('onboarding', '{id: issue, effect: issue}'),
  flow('rotation', '{id: rotate, effect: rotate}', 'limits: {grace: PT1H}'),
  flow('revocation', '{id: revoke, effect: revoke}'),
];

let installation: TestInstallation;
let traced: TemporalGateway;
let stopWorker: () => Promise<void>;

beforeAll(async () => {
  installation = await testInstallation({ flows, leaseMs: 2_000 });
  stopWorker = await installation.startWorker();
  const { namespace, address } = installation.place.temporal;
  traced = temporalGateway({
    namespace,
    connectionOptions: { address },
    dataConverter: dataConverter(installation.keys.payload),
    interceptors: { workflow: [new OpenTelemetryWorkflowClientInterceptor()] },
  });
});
afterAll(async () => {
  await traced?.close();
  await stopWorker?.();
  await installation?.close();
});

/** Onboards, rotates and revokes through one gateway; the histories of the three runs. */
async function wholeLife(gateway: TemporalGateway) {
  const order = onboardingOrder();
  const { identityId } = order;
  const stateOf = async (requestId: string) =>
    (await installation.ledger.prisma.request.findUniqueOrThrow({ where: { id: requestId } })).state;
  const steps = [
    { order, until: 'completed' },
    { order: openOrder('rotation', { identityId }), until: 'awaiting-consumers' },
    { order: openOrder('revocation', { identityId }), until: 'completed' },
  ];
  for (const step of steps) {
    expect(await gateway.open(step.order)).toMatchObject({ opened: true });
    await eventually(async () => expect(await stateOf(step.order.requestId)).toBe(step.until), 30_000);
  }
  return Promise.all(
    steps.map(({ order: { kind } }) => eventually(() => finishedHistory(installation.client, `${kind}/${identityId}`))),
  );
}

async function finishedHistory(client: Client, workflowId: string) {
  const handle = client.workflow.getHandle(workflowId);
  expect((await handle.describe()).status.name).toBe('COMPLETED');
  return { workflowId, history: await handle.fetchHistory() };
}

test('a traced life has the same events as one that is not, and both replay with one bundle', async () => {
  const [plainRuns, tracedRuns] = [await wholeLife(installation.gateway), await wholeLife(traced)];
  const isTraced = ({ history }: (typeof plainRuns)[number]) =>
    Object.hasOwn(history.events?.[0]?.workflowExecutionStartedEventAttributes?.header?.fields ?? {}, '_tracer-data');
  expect(plainRuns.map(isTraced)).toEqual([false, false, false]);
  expect(tracedRuns.map(isTraced)).toEqual([true, true, true]);
  const work = ({ history }: (typeof plainRuns)[number]) =>
    (history.events ?? [])
      .filter(
        (event) =>
          event.activityTaskScheduledEventAttributes ||
          event.timerStartedEventAttributes ||
          event.markerRecordedEventAttributes,
      )
      .map((event) => event.activityTaskScheduledEventAttributes?.activityType?.name ?? event.eventType);
  // Of the onboarding: how the other two go on depends on when the revocation comes and when a lease ends.
  expect(tracedRuns.slice(0, 1).map(work)).toEqual(plainRuns.slice(0, 1).map(work));

  const options = {
    workflowBundle: await workflowBundle(),
    dataConverter: dataConverter(installation.keys.payload),
    sinks: noTraceSinks,
  };
  const failures: string[] = [];
  for await (const { workflowId, error } of Worker.runReplayHistories(options, [...plainRuns, ...tracedRuns])) {
    if (error !== undefined) failures.push(`${workflowId}: ${error.message}`);
  }
  expect(failures).toEqual([]);
}, 120_000);
