import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { base64url, calculateJwkThumbprint, type JWK } from 'jose';
import { describe, expect, test } from 'vitest';
import {
  type DpopCall,
  DpopProofRefused,
  type DpopRefusal,
  verifyDpopProof,
} from '../../integrations/resource-server/dpopProof.ts';
import { dpopKey, hmacProof, signedProof, unsignedProof } from './dpopKey.ts';

const now = new Date('2026-03-01T12:00:00Z');
const nowSeconds = now.getTime() / 1000;
const accessToken = 'Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU';
const ath = createHash('sha256').update(accessToken).digest('base64url');

const key = dpopKey();

function remembering(): { useOnce: DpopCall['useOnce']; used: Map<string, Date> } {
  const used = new Map<string, Date>();
  return {
    used,
    useOnce(value, until) {
      const isFirst = !used.has(value);
      used.set(value, until);
      return isFirst;
    },
  };
}

function call(changed: Partial<DpopCall> = {}): DpopCall {
  return { method: 'POST', url: 'https://tools.example.com/mcp', now, ...remembering(), ...changed };
}

function claims(changed: Record<string, unknown> = {}): Record<string, unknown> {
  return { jti: 'one', htm: 'POST', htu: 'https://tools.example.com/mcp', iat: nowSeconds, ...changed };
}

async function refusal(
  header: readonly string[] | undefined,
  changed: Partial<DpopCall> = {},
): Promise<DpopRefusal | undefined> {
  try {
    await verifyDpopProof(header, call(changed));
  } catch (error) {
    if (!(error instanceof DpopProofRefused)) throw error;
    for (const value of header ?? []) if (value.length > 40) expect(error.message).not.toContain(value);
    expect(error.message).not.toContain(accessToken);
    return error.reason;
  }
  return undefined;
}

describe('a proof for this call', () => {
  test('is accepted, and its key is told by its thumbprint and public members', async () => {
    const proof = await verifyDpopProof([signedProof(key, claims())], call());
    expect(proof.thumbprint).toBe(await calculateJwkThumbprint(key.publicJwk));
    expect(proof.publicKey).toEqual(key.publicJwk);
  });

  test.each(['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519', 'PS256', 'RS256'])(
    'may be signed with %s',
    async (algorithm) => {
      const other = dpopKey(algorithm);
      const proof = await verifyDpopProof([signedProof(other, claims())], call());
      expect(proof.thumbprint).toBe(await calculateJwkThumbprint(other.publicJwk));
    },
  );

  // RFC 9449, figures 2 and 14: bytes that another implementation signed.
  const rfcKey =
    'eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19';
  test("of RFC 9449's own examples is accepted", async () => {
    const atTokenEndpoint = `${rfcKey}.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg`;
    const atResource = `${rfcKey}.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA`;
    const { useOnce } = remembering();
    const first = await verifyDpopProof([atTokenEndpoint], {
      method: 'POST',
      url: 'https://server.example.com/token',
      now: new Date(1_562_262_616_000),
      useOnce,
    });
    expect(first.thumbprint).toBe('0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I');
    const second = await verifyDpopProof([atResource], {
      method: 'GET',
      url: 'https://resource.example.org/protectedresource',
      accessToken,
      now: new Date(1_562_262_618_000),
      useOnce,
    });
    expect(second.thumbprint).toBe(first.thumbprint);
  });

  test('is good once: its second use is refused, as is another proof with its jti', async () => {
    const memory = remembering();
    const proof = signedProof(key, claims());
    expect(await refusal([proof], memory)).toBeUndefined();
    expect(await refusal([proof], memory)).toBe('replayed');
    expect(await refusal([signedProof(key, claims({ iat: nowSeconds - 1 }))], memory)).toBe('replayed');
    expect(await refusal([signedProof(key, claims({ jti: 'two' }))], memory)).toBeUndefined();
  });

  test("does not use up another key's proof with the same jti", async () => {
    const memory = remembering();
    expect(await refusal([signedProof(dpopKey(), claims())], memory)).toBeUndefined();
    expect(await refusal([signedProof(key, claims())], memory)).toBeUndefined();
  });

  test('is remembered by a short hash for a minute longer than it could be accepted', async () => {
    const memory = remembering();
    await refusal([signedProof(key, claims({ jti: 'x'.repeat(256), iat: nowSeconds + 5 }))], memory);
    const [[value, until] = []] = memory.used;
    expect(value).toMatch(/^[A-Za-z0-9_-]{43}$/);
    const lastAccepted = new Date((nowSeconds + 5 + 60) * 1000);
    expect(until).toEqual(new Date(lastAccepted.getTime() + 60_000));
    const again = signedProof(key, claims({ jti: 'y', iat: nowSeconds + 5 }));
    expect(await refusal([again], { now: lastAccepted })).toBeUndefined();
    expect(await refusal([again], { now: new Date(lastAccepted.getTime() + 1) })).toBe('too-old');
  });

  test('is refused when it cannot be known whether it was used', async () => {
    const proof = signedProof(key, claims());
    const lost = new Error('the shared memory is down');
    await expect(verifyDpopProof([proof], call({ useOnce: () => Promise.reject(lost) }))).rejects.toBe(lost);
    const unsure: unknown = undefined;
    expect(await refusal([proof], { useOnce: () => unsure as boolean })).toBe('replayed');
  });

  test('that is refused is not used up', async () => {
    const memory = remembering();
    for (const wrong of [{ htm: 'GET' }, { htu: 'https://tools.example.com/' }, { iat: nowSeconds - 61 }])
      await refusal([signedProof(key, claims(wrong))], memory);
    await refusal([signedProof(key, claims())], { ...memory, accessToken });
    expect(memory.used.size).toBe(0);
  });
});

describe('the header', () => {
  test('must be there, once, and hold one JWT of bounded length', async () => {
    const proof = signedProof(key, claims());
    expect(await refusal(undefined)).toBe('missing');
    expect(await refusal([])).toBe('missing');
    expect(await refusal([proof, proof])).toBe('repeated');
    expect(await refusal([`${proof}, ${proof}`])).toBe('malformed');
    expect(await refusal([signedProof(key, claims({ pad: 'x'.repeat(8_192) }))])).toBe('too-long');
  });

  test('may hold any text: it is refused, never an error of ours', async () => {
    const proof = signedProof(key, claims());
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string(),
          fc.tuple(fc.json(), fc.json()).map(([a, b]) => `${base64url.encode(a)}.${base64url.encode(b)}.`),
          fc.nat(proof.length - 1).map((at) => proof.slice(0, at) + proof.slice(at + 1)),
        ),
        async (text) => {
          expect(await refusal([text])).toBeDefined();
        },
      ),
      { numRuns: 300 },
    );
  });

  test.each(['JWT', 'at+jwt', 'tenure-proof+jwt', 'DPOP+JWT ', undefined])(
    'must be of typ dpop+jwt: %s is another kind of token',
    async (typ) => {
      expect(await refusal([signedProof(key, claims(), { typ })])).toBe('wrong-typ');
    },
  );

  test('must not ask for what is not understood', async () => {
    expect(await refusal([signedProof(key, claims(), { crit: ['exp'], exp: 1 })])).toBe('malformed');
    expect(await refusal([signedProof(key, claims(), { b64: false, crit: ['b64'] })])).toBe('malformed');
  });
});

describe('the key', () => {
  test('is no secret: symmetric algorithms and `none` are refused before a key is looked at', async () => {
    for (const alg of ['HS256', 'none', 'None', 'RS1', 'ES256K', 'dir', ''])
      expect(await refusal([unsignedProof({ typ: 'dpop+jwt', alg, jwk: key.publicJwk }, claims())]), alg).toBe(
        'algorithm-not-allowed',
      );
    // The public key as the secret of an HMAC, as in every confusion of algorithms.
    expect(await refusal([hmacProof(key, claims())])).toBe('algorithm-not-allowed');
  });

  test('must be there, and public', async () => {
    const jwks: unknown[] = [undefined, null, 'a key', [key.publicJwk], {}, key.privateKey.export({ format: 'jwk' })];
    for (const member of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']) jwks.push({ ...key.publicJwk, [member]: '' });
    jwks.push(
      { kty: 'oct', k: base64url.encode('secret') },
      { ...key.publicJwk, x: undefined },
      { ...key.publicJwk, y: 7 },
    );
    for (const jwk of jwks)
      expect(await refusal([signedProof(key, claims(), { jwk })]), JSON.stringify(jwk)).toBe('key-not-public');
  });

  test('must be one of its algorithm, on its curve, and long enough', async () => {
    const short = dpopKey('RS256', 1024);
    expect(await refusal([signedProof(short, claims())])).toBe('malformed');
    const offCurve = { ...key.publicJwk, y: base64url.encode(Buffer.alloc(32, 7)) };
    expect(await refusal([signedProof(key, claims(), { jwk: offCurve })])).toBe('malformed');
    const rsa = dpopKey('RS256');
    expect(await refusal([signedProof(key, claims(), { jwk: rsa.publicJwk })])).toBe('malformed');
  });

  test('is the one that signed', async () => {
    const other = dpopKey();
    expect(await refusal([signedProof(key, claims(), { jwk: other.publicJwk })])).toBe('wrong-signature');
    const [header, , signature] = signedProof(key, claims()).split('.');
    const changed = base64url.encode(JSON.stringify(claims({ jti: 'changed' })));
    expect(await refusal([`${header}.${changed}.${signature}`])).toBe('wrong-signature');
  });

  test('counts by what makes it a key: kid, use, alg, x5c and key_ops of a stranger change nothing', async () => {
    const dressed: JWK = { ...key.publicJwk, kid: '../../etc', use: 'enc', alg: 'none', key_ops: ['sign'], x5c: ['a'] };
    const proof = await verifyDpopProof([signedProof(key, claims(), { jwk: dressed })], call());
    expect(proof.thumbprint).toBe(await calculateJwkThumbprint(key.publicJwk));
    expect(proof.publicKey).toEqual(key.publicJwk);
  });
});

describe('the call', () => {
  test('has the method of the proof, to the letter', async () => {
    for (const htm of ['GET', 'post', 'POST ', '', undefined, ['POST']])
      expect(await refusal([signedProof(key, claims({ htm }))]), String(htm)).toBe('wrong-method');
  });

  test.each([
    'https://tools.example.com/mcp/',
    'https://tools.example.com/MCP',
    'https://tools.example.com/',
    'https://tools.example.com/mcp%2F',
    'https://tools.example.com//mcp',
    'http://tools.example.com/mcp',
    'https://tools.example.com:8443/mcp',
    'https://tools.example.com./mcp',
    'https://other.example.com/mcp',
    'https://tools.example.com@other.example.com/mcp',
    'https://user@tools.example.com/mcp',
    'https://tools.example.com\\mcp',
    'https://tools.example.com/m\ncp',
    ' https://tools.example.com/mcp',
    '//tools.example.com/mcp',
    '/mcp',
    'wss://tools.example.com/mcp',
    '',
    undefined,
    7,
  ])('is not another address: %j', async (htu) => {
    expect(await refusal([signedProof(key, claims({ htu }))])).toBe('wrong-url');
  });

  test.each([
    'https://tools.example.com/mcp?session=1',
    'https://tools.example.com/mcp#part',
    'HTTPS://Tools.Example.COM/mcp',
    'https://tools.example.com:443/mcp',
    'https://tools.example.com/%6dcp',
    'https://tools.example.com/a/../mcp',
  ])('is the same address when RFC 3986 says so: %s', async (htu) => {
    expect(await refusal([signedProof(key, claims({ htu }))])).toBeUndefined();
  });

  test('has an address whatever its own query is', async () => {
    const proof = signedProof(key, claims());
    expect(await refusal([proof], { url: 'https://tools.example.com/mcp?cursor=2' })).toBeUndefined();
  });

  test('refuses everything when the server does not know its own address', async () => {
    const proof = signedProof(key, claims({ htu: 'not an address' }));
    await expect(verifyDpopProof([proof], call({ url: 'not an address' }))).rejects.toThrow(TypeError);
  });

  test('is now: at most a minute ago, and not ahead of the clocks', async () => {
    const at = async (iat: unknown) => refusal([signedProof(key, claims({ iat }))]);
    expect(await at(nowSeconds - 60)).toBeUndefined();
    expect(await at(nowSeconds - 61)).toBe('too-old');
    expect(await at(nowSeconds + 5)).toBeUndefined();
    expect(await at(nowSeconds + 6)).toBe('from-the-future');
    expect(await at(1e300)).toBe('from-the-future');
    expect(await at(undefined)).toBe('too-old');
    expect(await at('now')).toBeDefined();
    expect(await refusal([signedProof(key, claims({ exp: nowSeconds - 10 }))])).toBe('too-old');
    expect(await refusal([signedProof(key, claims({ nbf: nowSeconds + 10 }))])).toBe('from-the-future');
  });

  test('has a jti of bounded length', async () => {
    for (const jti of [undefined, '', 7, 'x'.repeat(257)])
      expect(await refusal([signedProof(key, claims({ jti }))])).toBe('no-jti');
  });

  test('has the token that the proof is bound to', async () => {
    const bound = signedProof(key, claims({ ath }));
    expect(await refusal([bound], { accessToken })).toBeUndefined();
    expect(await refusal([bound], { accessToken: `${accessToken}x` })).toBe('wrong-token');
    expect(await refusal([signedProof(key, claims())], { accessToken })).toBe('wrong-token');
    expect(await refusal([signedProof(key, claims({ ath: `${ath}=` }))], { accessToken })).toBe('wrong-token');
  });

  test('has a token that is bound to the key of the proof; a proof of another key is not used up', async () => {
    const memory = remembering();
    const proof = signedProof(key, claims());
    const { thumbprint } = await verifyDpopProof([proof], call());
    expect(await refusal([signedProof(dpopKey(), claims())], { ...memory, boundTo: thumbprint })).toBe('wrong-key');
    expect(await refusal([proof], { ...memory, boundTo: '' })).toBe('wrong-key');
    expect(memory.used.size).toBe(0);
    expect(await refusal([proof], { ...memory, boundTo: thumbprint })).toBeUndefined();
  });

  test('has the nonce that was asked for', async () => {
    const withNonce = signedProof(key, claims({ nonce: 'asked-for' }));
    expect(await refusal([withNonce], { nonce: 'asked-for' })).toBeUndefined();
    expect(await refusal([withNonce], { nonce: 'another' })).toBe('wrong-nonce');
    expect(await refusal([signedProof(key, claims())], { nonce: 'asked-for' })).toBe('wrong-nonce');
  });
});
