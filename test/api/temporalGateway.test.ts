import { createSecretKey, randomBytes, randomUUID } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import { afterEach, expect, inject, test } from 'vitest';
import { type TemporalGateway, temporalGateway } from '../../api/temporalGateway.ts';
import { dataConverter } from '../../configuration/dataConverter.ts';
import { payloadKey, payloadKeys } from '../../configuration/payloadKeys.ts';
import { freePort } from '../../embedded/ports.ts';

const converter = dataConverter(payloadKeys(payloadKey(createSecretKey(randomBytes(32)))));
let gateway: TemporalGateway | undefined;
afterEach(async () => {
  await gateway?.close();
  gateway = undefined;
});

function gatewayTo({ address, namespace = 'default' }: { address: string; namespace?: string }): TemporalGateway {
  return temporalGateway({ namespace, connectionOptions: { address }, dataConverter: converter });
}

const target = () => ({ kind: 'rotation' as const, identityId: randomUUID() });

test('a gateway to nowhere is made at once, says so, and lets every call fail instead of hanging', async () => {
  gateway = gatewayTo({ address: `127.0.0.1:${await freePort()}` });
  expect(await gateway.isReachable()).toBe(false);
  await expect(gateway.nudge(target(), 'request')).rejects.toThrow();
});

test('a namespace that does not exist is not reachable', async () => {
  gateway = gatewayTo({ address: inject('temporalAddress'), namespace: 'absent' });
  expect(await gateway.isReachable()).toBe(false);
});

test('a nudge starts the lost workflow under its own id, and a second one reaches the same run', async () => {
  const address = inject('temporalAddress');
  gateway = gatewayTo({ address });
  expect(await gateway.isReachable()).toBe(true);
  const lost = target();
  await gateway.nudge(lost, 'request');
  await gateway.nudge(lost, 'request');
  const connection = await Connection.connect({ address });
  try {
    const handle = new Client({ connection }).workflow.getHandle(`rotation/${lost.identityId}`);
    const { events } = await handle.fetchHistory();
    const signals = events?.filter((event) => event.workflowExecutionSignaledEventAttributes?.signalName === 'nudge');
    expect(signals).toHaveLength(2);
    await handle.terminate('end of the test');
  } finally {
    await connection.close();
  }
});
