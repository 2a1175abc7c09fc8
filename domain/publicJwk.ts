import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import type { PublicJwk } from './agents.ts';
import { isOfSmallOrder } from './ed25519.ts';

export type ReadPublicJwk =
  | { readonly ok: true; readonly jwk: PublicJwk }
  | { readonly ok: false; readonly reason: string };

type KeyType = 'EC' | 'OKP' | 'RSA';

/** What a key that signs assertions and proofs may be (RFC 7518 §6, RFC 8037), and what it may sign with. */
const kinds: readonly {
  readonly kty: KeyType;
  readonly members: readonly string[];
  readonly algorithms: readonly string[];
}[] = [
  { kty: 'EC', members: ['crv', 'x', 'y'], algorithms: ['ES256'] },
  { kty: 'OKP', members: ['crv', 'x'], algorithms: ['EdDSA', 'Ed25519'] },
  { kty: 'RSA', members: ['n', 'e'], algorithms: ['RS256', 'PS256'] },
];
const curves: readonly (string | undefined)[] = ['P-256', 'Ed25519', undefined];

const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth'];
const otherMembers = ['kty', 'kid', 'alg', 'use'];

const rsaBits = { least: 2048, most: 8192 };

/**
 * A public key as somebody wrote it (RFC 7517), in the one form in which it is kept: nothing but the members of its type, `kid`
 * and `alg`. Refused: anything private, symmetric, weak, off its curve, or of a type whose signatures are not accepted. The
 * reason continues "the key …" and repeats nothing of what was written.
 */
export function readPublicJwk(written: Readonly<Record<string, unknown>>): ReadPublicJwk {
  const refused = (reason: string): ReadPublicJwk => ({ ok: false, reason });
  if ('k' in written || written['kty'] === 'oct')
    return refused('is symmetric: register the public half of an asymmetric key');
  if (privateMembers.some((member) => member in written))
    return refused('has private members: make a new key pair, and register its public half alone');
  const kind = kinds.find(({ kty }) => kty === written['kty']);
  if (kind === undefined) return refused('is of no type that is accepted: use EC, OKP or RSA');
  const members = Object.entries(written);
  if (members.some(([name]) => !kind.members.includes(name) && !otherMembers.includes(name)))
    return refused(`has members besides ${[...kind.members, ...otherMembers].join(', ')}`);
  if (members.some(([, value]) => typeof value !== 'string')) return refused('has members that are no strings');
  const { crv, alg, use, kid } = written as Record<string, string | undefined>;
  if (!curves.includes(crv)) return refused('is on no curve that is accepted: use P-256 or Ed25519');
  if (alg !== undefined && !kind.algorithms.includes(alg))
    return refused(`names an algorithm that it does not sign with here: use ${kind.algorithms.join(' or ')}`);
  if (use !== undefined && use !== 'sig') return refused('is not for signing');
  const key = publicKeyOf(written);
  if (key === undefined) return refused('is not a valid public key');
  const weak = weaknesses[kind.kty](key);
  if (weak !== undefined) return refused(weak);
  const jwk = {
    ...key.export({ format: 'jwk' }),
    ...(kid === undefined ? {} : { kid }),
    ...(alg === undefined ? {} : { alg }),
  };
  return { ok: true, jwk: jwk as PublicJwk };
}

function publicKeyOf(jwk: Readonly<Record<string, unknown>>): KeyObject | undefined {
  try {
    return createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' });
  } catch {
    return undefined; // the reason of OpenSSL would repeat what was written
  }
}

const weaknesses: Readonly<Record<KeyType, (key: KeyObject) => string | undefined>> = {
  // OpenSSL refuses what is off the curve, and P-256 has no points of small order.
  EC: () => undefined,
  OKP: (key) =>
    isOfSmallOrder(Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url'))
      ? 'is a point of small order, for which anybody can sign: make a new key pair'
      : undefined,
  RSA: rsaWeakness,
};

function rsaWeakness({
  asymmetricKeyDetails: { modulusLength = 0, publicExponent = 0n } = {},
}: KeyObject): string | undefined {
  if (modulusLength < rsaBits.least) return `is weak: RSA takes at least ${rsaBits.least} bits`;
  if (modulusLength > rsaBits.most) return `is longer than ${rsaBits.most} bits`;
  if (publicExponent < 65_537n || publicExponent % 2n === 0n)
    return 'is weak: its exponent must be odd and at least 65537';
  return undefined;
}
