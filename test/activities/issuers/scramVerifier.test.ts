import { createHash, createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import { scramVerifier } from '../../../activities/issuers/scramVerifier.ts';

test('the verifier accepts the exchange of RFC 7677 section 3, and answers it as that server does', async () => {
  const salt = 'W22ZaJ0SNY7soEsUEjb6gQ==';
  const nonce = 'rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';
  const authMessage = `n=user,r=rOprNGfwEbeRWgbNEkqO,r=${nonce},s=${salt},i=4096,c=biws,r=${nonce}`;
  const clientProof = Buffer.from('dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=', 'base64');

  const verifier = await scramVerifier('pencil', Buffer.from(salt, 'base64'));
  const [, iterations, writtenSalt, storedKey = '', serverKey = ''] =
    /^SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):(.+)$/.exec(verifier) ?? [];

  expect([iterations, writtenSalt]).toEqual(['4096', salt]);
  const signature = createHmac('sha256', Buffer.from(storedKey, 'base64')).update(authMessage).digest();
  const clientKey = signature.map((byte, index) => byte ^ (clientProof[index] ?? 0));
  expect(createHash('sha256').update(clientKey).digest('base64')).toBe(storedKey);
  expect(createHmac('sha256', Buffer.from(serverKey, 'base64')).update(authMessage).digest('base64')).toBe(
    '6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
  );
});

test('two verifiers of one secret differ', async () => {
  expect(await scramVerifier('secret')).not.toBe(await scramVerifier('secret'));
});

test.each(['', 'two words', 'naïve', 'line\nbreak'])(
  'a secret that SASLprep could change (%j) is refused without being shown',
  async (secret) => {
    await expect(scramVerifier(secret)).rejects.toThrow(/printable ASCII without spaces\.$/);
  },
);
