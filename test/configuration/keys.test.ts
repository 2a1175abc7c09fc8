import { sign, verify } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { KeysUnusable } from '../../configuration/keyFiles.ts';
import { loadKeys } from '../../configuration/keys.ts';

let parent: string;
let directory: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'tenure-keys-'));
  directory = join(parent, 'keys');
});
afterEach(() => rmSync(parent, { recursive: true }));

test('keys made once are loaded again unchanged', () => {
  const made = loadKeys(directory, { create: true });
  const loaded = loadKeys(directory, { create: false });
  expect(loaded.evidenceMac.equals(made.evidenceMac)).toBe(true);
  expect(loaded.personPseudonym.equals(made.personPseudonym)).toBe(true);
  expect(loaded.fingerprint.equals(made.fingerprint)).toBe(true);
  expect(loaded.evidenceSigning.equals(made.evidenceSigning)).toBe(true);
  expect(loaded.payload.writing.key.equals(made.payload.writing.key)).toBe(true);
  expect(loaded.decisionSigning.keyId).toBe(made.decisionSigning.keyId);
});

test('what the decision key signs, the public key of its id verifies', () => {
  const { decisionSigning, decisionVerifying } = loadKeys(directory, { create: true });
  const publicKey = decisionVerifying.get(decisionSigning.keyId);
  if (publicKey === undefined) throw new Error('the signing key has no public key');
  const signature = sign(null, Buffer.from('decision'), decisionSigning.privateKey);
  expect(verify(null, Buffer.from('decision'), publicKey, signature)).toBe(true);
});

test('key files are readable for their owner only', () => {
  loadKeys(directory, { create: true });
  const modes = readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => statSync(join(entry.parentPath, entry.name)).mode & 0o777);
  expect(modes).toHaveLength(7);
  expect(new Set(modes)).toEqual(new Set([0o600]));
});

test.each([0o640, 0o604])('a key file that others can read (mode %o) is refused', (mode) => {
  loadKeys(directory, { create: true });
  chmodSync(join(directory, 'evidence-mac.key'), mode);
  expect(() => loadKeys(directory, { create: true })).toThrow(/evidence-mac\.key is open to other users/);
});

test('without "create", missing keys are an error and nothing is made', () => {
  expect(() => loadKeys(directory, { create: false })).toThrow(KeysUnusable);
  expect(readdirSync(parent)).toEqual([]);
});

test('a partial set of keys is refused and never completed', () => {
  loadKeys(directory, { create: true });
  rmSync(join(directory, 'evidence-signing.pem'));
  expect(() => loadKeys(directory, { create: true })).toThrow(/lacks evidence-signing\.pem/);
  expect(readdirSync(directory)).not.toContain('evidence-signing.pem');
});

test('keys are not created in a directory that holds something else', () => {
  writeFileSync(join(parent, 'head'), 'the last sealed head');
  expect(() => loadKeys(parent, { create: true })).toThrow(/other content and no keys/);
  expect(readdirSync(parent)).toEqual(['head']);
});

test('a malformed key file is named in the error', () => {
  loadKeys(directory, { create: true });
  writeFileSync(join(directory, 'decision-signing.pem'), 'not a key');
  expect(() => loadKeys(directory, { create: false })).toThrow(/decision-signing\.pem is not a key in PEM form/);
});

test('printing the keys reveals none of them', () => {
  const keys = loadKeys(directory, { create: true });
  expect(JSON.stringify(keys)).toBe(
    JSON.stringify({
      evidenceMac: {},
      personPseudonym: {},
      fingerprint: {},
      evidenceSigning: {},
      decisionSigning: { keyId: keys.decisionSigning.keyId, privateKey: {} },
      decisionVerifying: {},
      payload: { writing: { id: keys.payload.writing.id, key: {} }, reading: {} },
    }),
  );
});
