import { randomBytes } from 'node:crypto';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NativeConnection } from '@temporalio/worker';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { temporalGateway } from '../../api/temporalGateway.ts';
import { payloadKeyFile } from '../../configuration/payloadKeys.ts';
import type { OpenOrder, OpenResult } from '../../contracts/open.ts';
import { KeysOfAnotherInstallation } from '../../ledger/installationKeys.ts';
import { createWorker } from '../../worker/createWorker.ts';
import { makeCurrent } from '../../worker/deploymentRouting.ts';
import { eventually } from '../setup/eventually.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { type InstallationParts, installationParts } from '../setup/installationParts.ts';
import { decide, onboardingOrder, opened } from '../setup/orders.ts';
import { payloadsIn } from '../setup/plainHistory.ts';
import { placeOf } from '../worker/versionedWorkers.ts';

let installation: TestInstallation;
beforeAll(async () => {
  installation = await testInstallation({ leaseMs: 4_000 });
});
afterAll(() => installation?.close());

/** The same installation as other processes find it, with whatever keys are there now. */
async function restarted<T>(work: (parts: TestInstallation) => Promise<T>): Promise<T> {
  const parts: InstallationParts = await installationParts(installation.place);
  const stopWorker = await parts.startWorker();
  try {
    return await work({ ...installation, ...parts });
  } finally {
    await stopWorker();
    await parts.close();
  }
}

const keyFile = () => join(installation.place.keyDirectory, payloadKeyFile);
const previous = () => join(installation.place.keyDirectory, 'payload-codec-previous');

function rotateKey(): void {
  mkdirSync(previous(), { mode: 0o700 });
  renameSync(keyFile(), join(previous(), 'first.key'));
  writeFileSync(keyFile(), randomBytes(32).toString('base64'), { mode: 0o600 });
}

const stateOf = async (requestId: string) =>
  (await installation.ledger.prisma.request.findUniqueOrThrow({ where: { id: requestId } })).state;

async function keyIdsOf(workflowId: string): Promise<Set<string>> {
  const history = await installation.client.workflow.getHandle(workflowId).fetchHistory();
  const ids = payloadsIn(history).map(({ payload }) => payload.metadata?.['encryption-key-id']);
  return new Set(ids.flatMap((id) => (id == null ? [] : [Buffer.from(id).toString()])));
}

test('a request waits through a rotation of the payload key, and no worker starts without the old key', async () => {
  const order = onboardingOrder({ environment: 'production' });
  const workflowId = `onboarding/${order.identityId}`;
  const { requestId } = await restarted(async (before) => {
    const result = await opened(before, order);
    await decide(before, { requestId: result.requestId, by: 'security-1@tenure.example' });
    return result;
  });
  const oldKeyId = installation.keys.payload.writing.id;
  expect(await keyIdsOf(workflowId)).toEqual(new Set([oldKeyId]));

  rotateKey();
  renameSync(previous(), `${previous()}.elsewhere`);
  await expect(restarted(async () => undefined)).rejects.toThrow(KeysOfAnotherInstallation);
  expect(await stateOf(requestId)).toBe('awaiting-approval');

  renameSync(`${previous()}.elsewhere`, previous());
  await restarted(async (after) => {
    await eventually(async () => {
      if ((await stateOf(requestId)) === 'awaiting-approval')
        await decide(after, { requestId, by: 'security-2@tenure.example' });
      expect(await stateOf(requestId)).toBe('completed');
    }, 45_000);
    expect(await keyIdsOf(workflowId)).toEqual(new Set([oldKeyId, after.keys.payload.writing.id]));
  });
});

test('a run from before the payloads were encrypted is refused, and terminated it is begun anew from the ledger', async () => {
  const order = onboardingOrder({ environment: 'production' });
  const { requestId } = await openedInPlain(order);
  const handle = installation.client.workflow.getHandle(`onboarding/${order.identityId}`);
  await restarted(async (after) => {
    // The update wakes the old run, and is answered by nobody.
    const unanswered = decide(after, { requestId, by: 'security-1@tenure.example' });
    await Promise.all([
      expect(unanswered).rejects.toThrow(),
      eventually(async () => {
        const { events } = await handle.fetchHistory();
        expect(events?.some(({ workflowTaskFailedEventAttributes }) => workflowTaskFailedEventAttributes)).toBe(true);
      }),
    ]);
    await handle.terminate('begun before the codec');
    for (const by of ['security-1@tenure.example', 'security-2@tenure.example'])
      expect(await decide(after, { requestId, by })).toMatchObject({ verdict: { accepted: true } });
    await eventually(async () => expect(await stateOf(requestId)).toBe('completed'));
  });
});

/** Opens a request as the release before the codec did: client and worker without a data converter of ours. */
async function openedInPlain(order: OpenOrder): Promise<OpenResult & { opened: true }> {
  const { activities, namespace, place } = installation;
  const { address } = place.temporal;
  const connection = await NativeConnection.connect({ address });
  const version = { deploymentName: 'tenure', buildId: 'in-plain' };
  const worker = await createWorker({ connection, namespace, activities, dataConverter: {}, version });
  const gateway = temporalGateway({ namespace, connectionOptions: { address }, dataConverter: {} });
  const running = worker.run();
  await makeCurrent(placeOf(installation), version.buildId, { patienceMs: 60_000 });
  try {
    return await opened({ ...installation, gateway }, order);
  } finally {
    worker.shutdown();
    await running;
    await gateway.close();
    await connection.close();
  }
}
