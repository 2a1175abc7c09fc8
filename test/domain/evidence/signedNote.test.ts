import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openCheckpoint, signCheckpoint } from '../../../domain/evidence/checkpoint.ts';
import { leafHash } from '../../../domain/evidence/merkleTree.ts';
import {
  formatVerifierKey,
  NoteInvalid,
  noteVerifier,
  openNote,
  parseVerifierKey,
  signNote,
} from '../../../domain/evidence/signedNote.ts';

/** The example in the documentation of Go's golang.org/x/mod/sumdb/note. */
const published = {
  seed: 'AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz',
  vkey: 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
  text: "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n",
  signature:
    '\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n',
};
const { privateKey } = generateKeyPairSync('ed25519');
const verifier = noteVerifier('tenure.example/log', privateKey);

test("Go's published note opens with its published key, and we sign the same text to the same bytes", () => {
  const note = `${published.text}\n${published.signature}`;
  expect(openNote(note, parseVerifierKey(published.vkey))).toBe(published.text);
  const seed = Buffer.from(published.seed, 'base64').subarray(1);
  const pkcs8 = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
  const key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
  expect(signNote(published.text, 'PeterNeumann', key)).toBe(note);
  expect(formatVerifierKey(noteVerifier('PeterNeumann', key))).toBe(published.vkey);
});

test('signatures of other keys beside ours are ignored, ours must be there and right', () => {
  const note = signNote('hello\n', verifier.name, privateKey);
  const [, , ourLine] = note.split('\n');
  expect(openNote(note + published.signature, verifier)).toBe('hello\n');
  expect(() => openNote(`hello\n\n${published.signature}`, verifier)).toThrow(
    /not signed by the key tenure\.example\/log\+/,
  );
  expect(() => openNote(`hullo\n\n${ourLine}\n`, verifier)).toThrow(/does not fit the note/);
  expect(() => openNote(`hello\n\n${ourLine}\n`, noteVerifier('another.example', privateKey))).toThrow(NoteInvalid);
});

test('a checkpoint reads back as it was signed', () => {
  fc.assert(
    fc.property(fc.nat(), fc.uint8Array({ minLength: 32, maxLength: 32 }), (size, root) => {
      const checkpoint = { origin: verifier.name, size, root: Buffer.from(root) };
      expect(openCheckpoint(Buffer.from(signCheckpoint(checkpoint, privateKey)), verifier)).toEqual(checkpoint);
    }),
    { numRuns: 30 },
  );
});

test('one flipped bit anywhere in a checkpoint is refused', () => {
  const note = Buffer.from(signCheckpoint({ origin: verifier.name, size: 12, root: leafHash('x') }, privateKey));
  for (let place = 0; place < note.length * 8; place++) {
    const flipped = Buffer.from(note);
    flipped[place >> 3] = (flipped[place >> 3] ?? 0) ^ (1 << (place & 7));
    expect(() => openCheckpoint(flipped, verifier), `bit ${place}`).toThrow(NoteInvalid);
  }
});

test.for([
  ['of another log', 'other.example\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n'],
  ['with a size of leading zeros', 'tenure.example/log\n01\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n'],
  ['with a negative size', 'tenure.example/log\n-1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n'],
  [
    'with a size beyond counting',
    'tenure.example/log\n99999999999999999999\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n',
  ],
  ['with a short root', 'tenure.example/log\n1\n47DEQpj8HBSa\n'],
  ['without a root', 'tenure.example/log\n1\n'],
] as const)('a rightly signed checkpoint %s is refused', ([, text]) => {
  expect(() => openCheckpoint(signNote(text, verifier.name, privateKey), verifier)).toThrow(NoteInvalid);
});

test.for(['', 'a b', 'a+b', 'a\u00a0b', 'a\u0000b', '\ud800'])('%j cannot name a note key', (name) => {
  expect(() => noteVerifier(name, privateKey)).toThrow(NoteInvalid);
});

test('a damaged note key is refused', () => {
  const vkey = formatVerifierKey(verifier);
  expect(parseVerifierKey(`${vkey}\n`).keyId).toEqual(verifier.keyId);
  for (const bad of [
    vkey.replace('tenure', 'tenura'),
    vkey.slice(0, -1),
    'x',
    vkey.replace('+AR', '+AX'),
    `${vkey}A`,
  ]) {
    if (bad === vkey) continue;
    expect(() => parseVerifierKey(bad), bad).toThrow(NoteInvalid);
  }
  expect(() => noteVerifier('x', generateKeyPairSync('x25519').privateKey)).toThrow(/another kind/);
});
