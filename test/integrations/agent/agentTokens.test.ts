import { createHash } from 'node:crypto';
import { calculateJwkThumbprint, importJWK, jwtVerify } from 'jose';
import { expect, test } from 'vitest';
import {
  agentAssertion,
  agentConfirmation,
  dpopProof,
  newAgentKeys,
  publicHalf,
  thumbprint,
} from '../../../integrations/agent/agentTokens.ts';

const keys = await newAgentKeys();
const registered = await importJWK(publicHalf(keys.authentication), 'ES256');
const audience = 'https://tenure.example';
const agentId = 'agent:b5mzfaqsxcjgvhsx3bqvyyqzda';

test('what is registered holds nothing of the private key', () => {
  expect(Object.keys(publicHalf(keys.authentication)).sort()).toEqual(['alg', 'crv', 'kty', 'x', 'y']);
  expect(() => publicHalf({ kty: 'oct', k: 'c2VjcmV0' })).toThrow(TypeError);
});

test('an assertion is good for a minute at one installation, and no two are the same', async () => {
  const made = await Promise.all([1, 2].map(() => agentAssertion({ agentId, audience, keys })));
  const read = await Promise.all(
    made.map((token) => jwtVerify(token, registered, { audience, issuer: agentId, subject: agentId })),
  );
  for (const { payload } of read) expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(60);
  expect(new Set(read.map(({ payload }) => payload.jti)).size).toBe(2);
});

test('a DPoP proof is of one call and one token, and shows the key that the grant is bound to', async () => {
  const call = { method: 'POST', url: 'https://search.example/mcp', accessToken: 'a.b.c' };
  const { payload, protectedHeader } = await jwtVerify(await dpopProof({ ...call, keys }), async ({ jwk }) => {
    if (jwk === undefined) throw new TypeError('It shows no key.');
    return importJWK(jwk, 'ES256');
  });
  expect(protectedHeader).toMatchObject({ typ: 'dpop+jwt', alg: 'ES256' });
  expect(JSON.stringify(protectedHeader)).not.toContain('"d"');
  expect(await calculateJwkThumbprint(protectedHeader.jwk ?? {})).toBe(await thumbprint(keys.possession));
  expect(payload).toMatchObject({
    htm: 'POST',
    htu: call.url,
    ath: createHash('sha256').update('a.b.c').digest('base64url'),
  });
});

test('a confirmation says what was shown', async () => {
  const signed = await agentConfirmation({ agentId, audience, digest: 'f'.repeat(64), keys });
  const { payload, protectedHeader } = await jwtVerify(signed, registered, { audience, issuer: agentId });
  expect(protectedHeader.typ).toBe('tenure-proof+jwt');
  expect(payload['nonce']).toBe('f'.repeat(64));
});
