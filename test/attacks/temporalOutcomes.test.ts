import type { Payload } from '@temporalio/common';
import proto from '@temporalio/proto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { workflowIdOf } from '../../contracts/names.ts';
import { acknowledge } from '../../ledger/acknowledge.ts';
import { plainFlows } from '../protocols/flows.ts';
import { eventually } from '../setup/eventually.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { interruptions } from '../setup/interruptions.ts';
import { onboardingOrder, opened, openOrder } from '../setup/orders.ts';

/** Somebody has access to Temporal and no key: with raw gRPC they answer effects that are under way (promise 5). */

const faults = interruptions();
let installation: TestInstallation;
let stopWorker: () => Promise<void>;

beforeAll(async () => {
  installation = await testInstallation({ flows: plainFlows, leaseMs: 20_000, ...faults });
  stopWorker = await installation.startWorker();
});
afterAll(async () => {
  await stopWorker?.();
  await installation?.close();
});

const patienceMs = 30_000;
const { EventType } = proto.temporal.api.enums.v1;
const attacker = 'a rogue worker';

const credential = (identityId: string, version: number) =>
  installation.ledger.prisma.credential.findUniqueOrThrow({
    where: { identityId_version: { identityId, version } },
  });
const untilState = (requestId: string, state: string) =>
  eventually(
    async () =>
      expect(await installation.ledger.prisma.request.findUniqueOrThrow({ where: { id: requestId } })).toMatchObject({
        state,
      }),
    patienceMs,
  );

async function onboarded(): Promise<string> {
  const { requestId, identityId } = await opened(installation, onboardingOrder());
  await untilState(requestId, 'completed');
  return identityId;
}

/** A rotation as far as its consumers. */
async function rotated(identityId: string): Promise<string> {
  const { requestId } = await opened(installation, openOrder('rotation', { identityId }));
  await untilState(requestId, 'awaiting-consumers');
  return requestId;
}

const acknowledged = (identityId: string, epoch: number) =>
  acknowledge(installation.ledger, { identityId, epoch, consumer: 'pipeline:deploy' });

const accepts = (identityId: string, version: number, secret: string | undefined) =>
  installation.issuer.prove({ handle: `${identityId}-v${version}`, secret: secret ?? '' });

/** What the newest run of this workflow was answered for its first activity of this type: ciphertext, as anybody can read it. */
async function answerOf(workflowId: string, activity: string): Promise<Payload[]> {
  const { history } = await installation.client.workflowService.getWorkflowExecutionHistory({
    namespace: installation.namespace,
    execution: { workflowId },
  });
  const events = history?.events ?? [];
  const scheduled = events.find(
    ({ activityTaskScheduledEventAttributes: order }) => order?.activityType?.name === activity,
  );
  const completed = events.find(
    ({ eventType, activityTaskCompletedEventAttributes: answer }) =>
      eventType === EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED &&
      String(answer?.scheduledEventId) === String(scheduled?.eventId),
  );
  return [...(completed?.activityTaskCompletedEventAttributes?.result?.payloads ?? [])] as Payload[];
}

/** The pending activity of this type, by which anybody who can reach Temporal may answer it. */
async function pending(workflowId: string, activity: string) {
  const { pendingActivities } = await installation.client.workflowService.describeWorkflowExecution({
    namespace: installation.namespace,
    execution: { workflowId },
  });
  const found = pendingActivities?.find(({ activityType }) => activityType?.name === activity);
  if (found?.activityId == null) throw new Error(`${workflowId} waits for no ${activity}`);
  return { namespace: installation.namespace, workflowId, activityId: found.activityId, identity: attacker };
}

/** The ledger has heard that an attempt of this step ended. */
const heardOf = (requestId: string, step: string) =>
  eventually(async () => {
    const where = { requestId, kind: 'effect', id: { endsWith: `/${step}` } };
    expect(await installation.ledger.prisma.requestEvent.count({ where })).toBeGreaterThan(0);
  }, patienceMs);

test.concurrent('an old answer to a destroy, given to a pending one, destroys nothing, and no receipt names another version', async () => {
  const identityId = await onboarded();
  const first = await rotated(identityId);
  await acknowledged(identityId, 2);
  await untilState(first, 'completed');
  const workflowId = workflowIdOf('rotation', identityId);
  const result = { payloads: await answerOf(workflowId, 'destroy') };

  const secret = await installation.store.readStaged({ identityId, version: 2 });
  const second = await rotated(identityId);
  const hold = faults.hold('before destroy', identityId);
  await acknowledged(identityId, 3);
  await hold.reached;
  const { workflowService } = installation.client;
  await workflowService.respondActivityTaskCompletedById({ ...(await pending(workflowId, 'destroy')), result });
  await heardOf(second, 'destroy-v2');
  expect(await accepts(identityId, 2, secret)).toBe('accepted');
  expect(await credential(identityId, 2)).toMatchObject({ state: 'destroying', receipt: null });

  await hold.release();
  await untilState(second, 'completed');
  expect(await accepts(identityId, 2, secret)).toBe('refused');
  const { receipt } = await credential(identityId, 2);
  expect(receipt).toMatchObject({ method: 'tried', because: expect.stringContaining(`${identityId}-v2`) });
}, 90_000);

test.concurrent('an old answer to a promote, given to a pending one, does not make the ledger say that the new version is served', async () => {
  const identityId = await onboarded();
  const first = await rotated(identityId);
  await acknowledged(identityId, 2);
  await untilState(first, 'completed');
  const workflowId = workflowIdOf('rotation', identityId);
  const result = { payloads: await answerOf(workflowId, 'promote') };

  const hold = faults.hold('before promote', identityId);
  const { requestId } = await opened(installation, openOrder('rotation', { identityId }));
  await hold.reached;
  const { workflowService } = installation.client;
  await workflowService.respondActivityTaskCompletedById({ ...(await pending(workflowId, 'promote')), result });
  await heardOf(requestId, 'promote-e3');
  expect(await installation.store.read({ identityId })).toMatchObject({ version: 2 });
  expect(await credential(identityId, 3)).toMatchObject({ state: 'current', promotedEpoch: null });

  await hold.release();
  await untilState(requestId, 'awaiting-consumers');
  expect(await installation.store.read({ identityId })).toMatchObject({ version: 3, epoch: 3 });
}, 90_000);

test.concurrent('a forged refusal of a proof, which needs no key, does not bury the credential that is being made', async () => {
  const identityId = await onboarded();
  const hold = faults.hold('before create', identityId);
  const { requestId } = await opened(installation, openOrder('rotation', { identityId }));
  await hold.reached;
  const task = await pending(workflowIdOf('rotation', identityId), 'create');
  await installation.client.workflowService.respondActivityTaskFailedById({
    ...task,
    failure: { message: 'forged', applicationFailureInfo: { type: 'ProofRefused', nonRetryable: true } },
  });
  await heardOf(requestId, 'create-v2');
  expect(await credential(identityId, 2)).toMatchObject({ state: 'minting' });

  await hold.release();
  await untilState(requestId, 'awaiting-consumers');
  expect(await credential(identityId, 2)).toMatchObject({ state: 'current' });
  expect(await installation.ledger.prisma.credential.count({ where: { identityId } })).toBe(2);
}, 90_000);

test.concurrent('a rogue worker that answers a quarantine with nothing does not make the ledger say that the store was emptied', async () => {
  const identityId = await onboarded();
  const hold = faults.hold('before quarantine', identityId);
  const { requestId } = await opened(installation, openOrder('revocation', { identityId }));
  await hold.reached;
  const task = await pending(workflowIdOf('revocation', identityId), 'quarantine');
  await installation.client.workflowService.respondActivityTaskCompletedById(task);
  await heardOf(requestId, 'quarantine-e2');
  expect(await installation.store.read({ identityId })).toMatchObject({ version: 1 });
  const { flowState } = await installation.ledger.prisma.request.findUniqueOrThrow({ where: { id: requestId } });
  expect(flowState).not.toHaveProperty('effect.quarantinedEpoch');

  await hold.release();
  await untilState(requestId, 'completed');
  expect(await installation.store.read({ identityId })).toMatchObject({ kind: 'tombstone', epoch: 2 });
}, 90_000);

test.concurrent('an answer that was given to another effect of the same run makes no credential of a creation that goes on', async () => {
  const identityId = await onboarded();
  await acknowledgedRotation(identityId);
  const workflowId = workflowIdOf('rotation', identityId);
  const result = { payloads: await answerOf(workflowId, 'create') };
  const hold = faults.hold('before create', identityId);
  const { requestId } = await opened(installation, openOrder('rotation', { identityId }));
  await hold.reached;
  const { workflowService } = installation.client;
  await workflowService.respondActivityTaskCompletedById({ ...(await pending(workflowId, 'create')), result });
  await heardOf(requestId, 'create-v3');
  expect(await credential(identityId, 3)).toMatchObject({ state: 'minting', fingerprint: null });
  expect(await installation.store.read({ identityId })).toMatchObject({ version: 2 });

  await hold.release();
  await untilState(requestId, 'awaiting-consumers');
  const secret = await installation.store.readStaged({ identityId, version: 3 });
  expect(await accepts(identityId, 3, secret)).toBe('accepted');
}, 90_000);

async function acknowledgedRotation(identityId: string): Promise<void> {
  const requestId = await rotated(identityId);
  await acknowledged(identityId, 2);
  await untilState(requestId, 'completed');
}
