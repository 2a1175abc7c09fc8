import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { type ServerFailed, startServerProcess } from '../../embedded/serverProcess.ts';
import { supervise } from '../../embedded/supervisor.ts';

const script = fileURLToPath(new URL('./standIn.ts', import.meta.url));

test('a service that dies every time is given up after the last restart, with its last words, and stays down', async () => {
  const givenUp = Promise.withResolvers<ServerFailed>();
  const started: number[] = [];
  const start = async () => ({
    process: await startServerProcess({
      name: 'stand-in',
      command: process.execPath,
      args: [script],
      spawnOptions: { env: { ...process.env, STAND_IN_ENDS: 'yes' } },
    }),
  });
  const { supervised } = await supervise(
    { name: 'stand-in', start },
    {
      backoffMs: [1, 1],
      onProgress: () => undefined,
      onStarted: (_name, pid) => started.push(pid),
      onGivenUp: givenUp.resolve,
    },
  );
  const { message } = await givenUp.promise;
  expect(message).toContain('stand-in failed 3 times in a row');
  expect(message).toContain('ended with exit code 3');
  expect(message).toContain('the last words of a stand-in');
  expect(started).toHaveLength(3);
  expect(supervised.pid()).toBeUndefined();
  await supervised.stop();
});

test('a service that cannot start the first time is an error of the start, not something to mend', async () => {
  const start = async () => ({
    process: await startServerProcess({ name: 'nothing', command: '/nonexistent/server', args: [] }),
  });
  const told: string[] = [];
  await expect(
    supervise(
      { name: 'nothing', start },
      { onProgress: (text) => told.push(text), onStarted: () => undefined, onGivenUp: () => undefined },
    ),
  ).rejects.toThrow('nothing could not be started');
  expect(told).toEqual([]);
});
