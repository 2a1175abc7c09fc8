import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { errors } from 'jose';
import { describe, expect, test } from 'vitest';
import { agentJwks } from '../../api/auth/agentJwks.ts';
import { recoveryKeyOf } from '../../configuration/recoveryKeys.ts';
import { readPublicJwk } from '../../domain/publicJwk.ts';

/**
 * "Public keys" under which OpenSSL 3.0 and other verifiers accept what anybody signs: the points of small order of edwards25519, each in every encoding that a
 * decoder may take (RFC 8032 §5.1.3; the list is that of libsodium's `ge25519_has_small_order`, both signs of x).
 */
const ordinates = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
];
const smallOrder = ordinates.flatMap((hex) => {
  const other = Buffer.from(hex, 'hex');
  other[31] = (other[31] ?? 0) | 0x80;
  return [Buffer.from(hex, 'hex'), other];
});
const jwkOf = (point: Buffer) => ({ kty: 'OKP', crv: 'Ed25519', x: point.toString('base64url') });
const spkiOf = (point: Buffer) => Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), point]);

describe.each(smallOrder.map((point) => [point.toString('hex'), point] as const))('%s', (_hex, point) => {
  test('is not registered as the key of an agent', () => {
    const read = readPublicJwk(jwkOf(point));
    expect(read).toMatchObject({ ok: false });
  });

  test('is no key with which flows are recovered', () => {
    expect(recoveryKeyOf(spkiOf(point).toString('base64'))).toBeUndefined();
  });
});

test('a key whose private half somebody has is registered, and recovers flows', () => {
  for (let made = 0; made < 20; made += 1) {
    const { publicKey } = generateKeyPairSync('ed25519');
    expect(readPublicJwk({ ...publicKey.export({ format: 'jwk' }) })).toMatchObject({ ok: true });
    const spki = publicKey.export({ format: 'der', type: 'spki' }).toString('base64');
    expect(recoveryKeyOf(spki)).toBeDefined();
  }
});

test('an address of keys that serves such a key gives the agent no key', async () => {
  const good = { ...generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }), kid: 'good' };
  const keys = [...smallOrder.map((point, index) => ({ ...jwkOf(point), kid: `small-${index}` })), good];
  const server = createServer((_req, res) =>
    res.setHeader('content-type', 'application/json').end(JSON.stringify({ keys })),
  ).listen(0, '127.0.0.1');
  await new Promise((listening) => server.once('listening', listening));
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const find = agentJwks({ publicUrl: url, now: () => new Date() })(`${url}/keys`);
    const of = (kid: string) => find({ alg: 'EdDSA', kid }, { payload: '', signature: '' });
    await expect(of('good')).resolves.toBeDefined();
    for (const { kid } of keys.slice(0, -1)) await expect(of(kid)).rejects.toThrow(errors.JWKSNoMatchingKey);
  } finally {
    server.close();
  }
});
