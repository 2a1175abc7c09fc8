import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadKeys } from '../../configuration/keys.ts';
import { loadPayloadKeys, payloadKeyFile } from '../../configuration/payloadKeys.ts';

let parent: string;
let directory: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'tenure-keys-'));
  directory = join(parent, 'keys');
});
afterEach(() => rmSync(parent, { recursive: true }));

const previous = () => join(directory, 'payload-codec-previous');

/** What an operator does: the old key beside, a new one in its place. */
function rotate(name: string): void {
  mkdirSync(previous(), { recursive: true, mode: 0o700 });
  renameSync(join(directory, payloadKeyFile), join(previous(), `${name}.key`));
  writeFileSync(join(directory, payloadKeyFile), randomBytes(32).toString('base64'), { mode: 0o600 });
}

test('a key directory older than the codec gets the payload key, and its other keys stay as they are', () => {
  const before = loadKeys(directory, { create: true });
  rmSync(join(directory, payloadKeyFile));
  const files = readdirSync(directory);
  const after = loadKeys(directory, { create: true });
  expect(readdirSync(directory).sort()).toEqual([...files, payloadKeyFile].sort());
  expect(statSync(join(directory, payloadKeyFile)).mode & 0o777).toBe(0o600);
  expect(after.evidenceMac.equals(before.evidenceMac)).toBe(true);
  expect(after.payload.writing.id).not.toBe(before.payload.writing.id);
  expect(loadKeys(directory, { create: true }).payload.writing.id).toBe(after.payload.writing.id);
});

test('a lost key is not made anew where earlier keys show that there was one, nor without being asked', () => {
  loadKeys(directory, { create: true });
  rotate('2026');
  rmSync(join(directory, payloadKeyFile));
  expect(() => loadPayloadKeys(directory, { create: true })).toThrow(/lacks payload-codec\.key/);
  rmSync(previous(), { recursive: true });
  expect(() => loadPayloadKeys(directory, { create: false })).toThrow(/lacks payload-codec\.key/);
  expect(readdirSync(directory)).not.toContain(payloadKeyFile);
});

test('after two rotations one key writes and all three read', () => {
  const first = loadKeys(directory, { create: true }).payload.writing.id;
  rotate('first');
  const second = loadPayloadKeys(directory, { create: false }).writing.id;
  rotate('second');
  const { writing, reading } = loadPayloadKeys(directory, { create: false });
  expect([...reading.keys()].sort()).toEqual([first, second, writing.id].sort());
  expect(new Set([first, second, writing.id]).size).toBe(3);
});

test('an earlier key that others can read, or that is no key, stops the start', () => {
  loadKeys(directory, { create: true });
  rotate('old');
  const file = join(previous(), 'old.key');
  chmodSync(file, 0o644);
  expect(() => loadKeys(directory, { create: true })).toThrow(/old\.key is open to other users/);
  chmodSync(file, 0o600);
  writeFileSync(file, 'short');
  expect(() => loadKeys(directory, { create: true })).toThrow(/old\.key does not hold 32 bytes/);
});
