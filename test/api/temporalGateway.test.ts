import { randomUUID } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import { afterEach, expect, inject, test } from 'vitest';
import { type TemporalGateway, temporalGateway } from '../../api/temporalGateway.ts';
import { freePort } from '../../embedded/ports.ts';

let gateway: TemporalGateway | undefined;
afterEach(async () => {
  await gateway?.close();
  gateway = undefined;
});

const target = () => ({ kind: 'rotation' as const, identityId: randomUUID() });

test('a gateway to nowhere is made at once, says so, and lets every call fail instead of hanging', async () => {
  gateway = temporalGateway({ namespace: 'default', connectionOptions: { address: `127.0.0.1:${await freePort()}` } });
  expect(await gateway.isReachable()).toBe(false);
  await expect(gateway.nudge(target(), 'request')).rejects.toThrow();
});

test('a namespace that does not exist is not reachable', async () => {
  gateway = temporalGateway({ namespace: 'absent', connectionOptions: { address: inject('temporalAddress') } });
  expect(await gateway.isReachable()).toBe(false);
});

test('a nudge starts the lost workflow under its own id, and a second one reaches the same run', async () => {
  const address = inject('temporalAddress');
  gateway = temporalGateway({ namespace: 'default', connectionOptions: { address } });
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
