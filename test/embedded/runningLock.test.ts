import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { AlreadyRunning, lockHolder, takeLock } from '../../embedded/runningLock.ts';
import { temporaryDirectory } from './stateDirectory.ts';

const order = { apiUrl: 'http://127.0.0.1:8080', stateDirectory: '.tenure' };

test('a lock held by a living process is refused to everybody else until it is given back', () => {
  const lock = join(temporaryDirectory(), 'running.json');
  const giveBack = takeLock(lock, order);
  expect(() => takeLock(lock, order)).toThrow(AlreadyRunning);
  expect(lockHolder(lock)).toMatchObject({ pid: process.pid, apiUrl: order.apiUrl });
  giveBack();
  expect(existsSync(lock)).toBe(false);
  takeLock(lock, order)();
});

test('the lock of a dead process, of a process id used again, or of a damaged file is taken over', () => {
  const directory = temporaryDirectory();
  const lock = join(directory, 'running.json');
  const left = [
    JSON.stringify({ pid: 2 ** 22 + 1, start: '1', apiUrl: order.apiUrl }),
    JSON.stringify({ pid: process.pid, start: 'of an earlier process', apiUrl: order.apiUrl }),
    '{"pid":',
  ];
  for (const content of left) {
    writeFileSync(lock, content);
    expect(lockHolder(lock)).toBeUndefined();
    takeLock(lock, order)();
  }
  expect(readdirSync(directory)).toEqual([]);
});
