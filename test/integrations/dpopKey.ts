import { constants, createHmac, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { JWK } from 'jose';

/**
 * A key of an agent. Its proofs are made here with node:crypto alone: what verifies them (jose) has no part in them, and
 * what no careful library would sign can be made too.
 */
export interface DpopKey {
  readonly algorithm: string;
  readonly privateKey: KeyObject;
  readonly publicJwk: JWK;
}

type Members = Record<string, unknown>;

const curves: Readonly<Record<string, string>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' };

export function dpopKey(algorithm = 'ES256', modulusLength = 2048): DpopKey {
  const privateKey = generated(algorithm, modulusLength);
  return { algorithm, privateKey, publicJwk: createPublicKey(privateKey).export({ format: 'jwk' }) };
}

function generated(algorithm: string, modulusLength: number): KeyObject {
  const namedCurve = curves[algorithm];
  if (namedCurve !== undefined) return generateKeyPairSync('ec', { namedCurve }).privateKey;
  if (algorithm === 'EdDSA' || algorithm === 'Ed25519') return generateKeyPairSync('ed25519').privateKey;
  return generateKeyPairSync('rsa', { modulusLength }).privateKey;
}

/** A proof that this key signed, with members of the header changed, added or, as `undefined`, left out. */
export function signedProof(key: DpopKey, claims: Members, header: Members = {}): string {
  const input = signingInput({ typ: 'dpop+jwt', alg: key.algorithm, jwk: key.publicJwk, ...header }, claims);
  return `${input}.${signature(key, Buffer.from(input)).toString('base64url')}`;
}

/** What nobody signed. */
export function unsignedProof(header: Members, claims: Members): string {
  return `${signingInput(header, claims)}.`;
}

/** Confusion of algorithms: the public key, as text, is the secret of an HMAC. */
export function hmacProof({ publicJwk }: DpopKey, claims: Members): string {
  const input = signingInput({ typ: 'dpop+jwt', alg: 'HS256', jwk: publicJwk }, claims);
  return `${input}.${createHmac('sha256', JSON.stringify(publicJwk)).update(input).digest('base64url')}`;
}

function signingInput(header: Members, claims: Members): string {
  return [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
}

function signature({ algorithm, privateKey }: DpopKey, input: Buffer): Buffer {
  if (algorithm.startsWith('Ed')) return sign(null, input, privateKey);
  const hash = `sha${algorithm.slice(2)}`;
  if (algorithm.startsWith('ES')) return sign(hash, input, { key: privateKey, dsaEncoding: 'ieee-p1363' });
  if (algorithm.startsWith('RS')) return sign(hash, input, privateKey);
  return sign(hash, input, {
    key: privateKey,
    padding: constants.RSA_PKCS1_PSS_PADDING,
    saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
  });
}
