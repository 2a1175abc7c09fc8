import { setTimeout as pause } from 'node:timers/promises';
import { MockActivityEnvironment } from '@temporalio/testing';
import { expect, test } from 'vitest';
import { heartbeats } from '../../worker/heartbeats.ts';

test('an activity with a heartbeat timeout beats while it works, whatever it does, and not after it', async () => {
  const environment = new MockActivityEnvironment({ heartbeatTimeoutMs: 30 });
  let beats = 0;
  const thirdBeat = Promise.withResolvers<void>();
  environment.on('heartbeat', () => {
    beats += 1;
    if (beats === 3) thirdBeat.resolve();
  });
  const interceptors = heartbeats(environment.context);
  const next = () => thirdBeat.promise.then(() => 'done');
  const answer = await environment.run(async () => interceptors.inbound?.execute?.({ args: [], headers: {} }, next));
  expect(answer).toBe('done');
  const atTheEnd = beats;
  await pause(60);
  expect(beats).toBe(atTheEnd);
});

test('an activity without a heartbeat timeout is left as it is', () => {
  expect(heartbeats(new MockActivityEnvironment({ heartbeatTimeoutMs: 0 }).context)).toEqual({});
});
