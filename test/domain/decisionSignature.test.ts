import { createSecretKey, generateKeyPairSync, randomBytes, sign, verify } from 'node:crypto';
import { expect, test } from 'vitest';
import { isSignedBy, publishedDecision, signDecision, type UnsignedDecision } from '../../domain/decisionSignature.ts';
import { canonicalJson } from '../../domain/evidence/canonicalJson.ts';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const personKey = createSecretKey(randomBytes(32));
const unsigned: UnsignedDecision = {
  id: 'd1',
  requestId: 'r1',
  stage: 'security',
  revision: 1,
  approverId: 'sam@example.com',
  verdict: 'approve',
  digest: 'aa',
  comment: 'as ola@example.com asked',
  decidedAt: '2026-11-05T12:00:00.000Z',
  keyId: 'k1',
};
const signed = signDecision(unsigned, { personKey, privateKey });

test('a signature holds for its decision, and for no other field, key or byte', () => {
  expect(isSignedBy(signed, publicKey, personKey)).toBe(true);
  expect(isSignedBy(signed, generateKeyPairSync('ed25519').publicKey, personKey)).toBe(false);
  expect(isSignedBy(signed, publicKey, createSecretKey(randomBytes(32)))).toBe(false);
  for (const field of Object.keys(unsigned)) {
    const changed = { ...signed, [field]: field === 'revision' ? 2 : 'deny' };
    expect(isSignedBy(changed, publicKey, personKey), field).toBe(false);
  }
  for (const signature of ['', 'AA', `${signed.signature}A`, signed.signature.slice(1), 'not base64 at all'])
    expect(isSignedBy({ ...signed, signature }, publicKey, personKey), signature).toBe(false);
});

test('what is published of a decision is all that its signature needs, and names nobody', () => {
  const published = canonicalJson(publishedDecision(signed, personKey));
  expect(verify(null, Buffer.from(published), publicKey, Buffer.from(signed.signature, 'base64url'))).toBe(true);
  expect(published).not.toContain('@');
});

test('the instant of a proof is signed with it', () => {
  const proof = signDecision(
    { ...unsigned, verdict: 'confirm', authenticatedAt: unsigned.decidedAt },
    { personKey, privateKey },
  );
  expect(isSignedBy(proof, publicKey, personKey)).toBe(true);
  expect(isSignedBy({ ...proof, authenticatedAt: '2026-11-05T12:00:00.001Z' }, publicKey, personKey)).toBe(false);
  const { authenticatedAt: _instant, ...without } = proof;
  expect(isSignedBy(without, publicKey, personKey)).toBe(false);
});

test('a decision of the first version has the bytes it always had, and neither version passes for the other', () => {
  const canonical =
    '{"approverId":"sam","comment":"","decidedAt":"2026-11-05T12:00:00.000Z","digest":"aa","id":"d1","keyId":"k1","requestId":"r1","revision":1,"stage":"security","verdict":"approve"}';
  const signature = sign(null, Buffer.from(canonical), privateKey).toString('base64url');
  const first = { ...unsigned, approverId: 'sam', comment: '', signature };
  expect(isSignedBy(first, publicKey, personKey)).toBe(true);
  expect(isSignedBy({ ...first, version: 2 }, publicKey, personKey)).toBe(false);
  const { version: _second, ...asFirst } = signed;
  expect(isSignedBy(asFirst, publicKey, personKey)).toBe(false);
});
