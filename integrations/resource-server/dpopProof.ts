import { createHash } from 'node:crypto';
import { calculateJwkThumbprint, decodeProtectedHeader, errors, importJWK, type JWK, jwtVerify } from 'jose';

/** Asymmetric only: with `none` or a shared secret, whoever can read the proof's key could sign. */
export const dpopAlgorithms = ['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519', 'PS256', 'RS256'] as const;

/** How old a proof may be. */
const longestAgeSeconds = 60;
/** How long its `jti` is remembered (RFC 9449 §11.1): longer, since a shared memory forgets by a clock of its own. */
const rememberedSeconds = 2 * longestAgeSeconds;
/** Between the clock of who signs proofs and ours. */
const clockToleranceSeconds = 5;
/** A long proof costs a parse and a key before it is known to be false. */
const longestProofCharacters = 8_192;
const longestJtiCharacters = 256;

/** What was wrong with a proof. All of them are `invalid_dpop_proof` for the client (RFC 9449 §5, §7.1). */
export type DpopRefusal =
  | 'missing'
  | 'repeated'
  | 'too-long'
  | 'malformed'
  | 'wrong-typ'
  | 'algorithm-not-allowed'
  | 'key-not-public'
  | 'wrong-signature'
  | 'wrong-method'
  | 'wrong-url'
  | 'too-old'
  | 'from-the-future'
  | 'no-jti'
  | 'wrong-key'
  | 'wrong-token'
  | 'wrong-nonce'
  | 'replayed';

/** The proof does not show that the caller holds a key. The message never repeats the proof or the token. */
export class DpopProofRefused extends Error {
  override readonly name = 'DpopProofRefused';
  readonly reason: DpopRefusal;
  constructor(reason: DpopRefusal, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/**
 * Remembers what was used once. Servers that answer for the same address share one, or a proof is good once at each.
 * @returns whether this was the first use of `value`; `until` is when it may be forgotten. A rejection refuses the call.
 */
export type UseOnce = (value: string, until: Date) => boolean | Promise<boolean>;

/** What the call is, as this server knows it; nothing of it may come from what the caller can choose (Host, X-Forwarded-*). */
export interface DpopCall {
  readonly method: string;
  /** The address that clients call, as it is written in the server's own configuration. Query and fragment do not count. */
  readonly url: string;
  /** The access token of the same call. The proof must be bound to it by `ath`. */
  readonly accessToken?: string;
  /** RFC 7638 thumbprint of the key that the access token is bound to: its `cnf.jkt`. */
  readonly boundTo?: string;
  /** The nonce that this server handed out (RFC 9449 §9), where it asks for one. */
  readonly nonce?: string;
  readonly useOnce: UseOnce;
  readonly now?: Date;
}

export interface DpopProof {
  /** Of the key that signed the proof (RFC 7638, SHA-256): what a token that is bound to it has as `cnf.jkt`. */
  readonly thumbprint: string;
  /** Public members only. */
  readonly publicKey: JWK;
}

/**
 * Verifies the proof of possession that came with a call (RFC 9449 §4.3) and uses it up: the same proof is refused from
 * then on. A refused proof is not used up.
 *
 * @param header every value of the header `DPoP`: `req.headersDistinct['dpop']`
 * @throws DpopProofRefused saying what is wrong; whatever `useOnce` throws, then nothing is known and the call is to be refused
 */
export async function verifyDpopProof(header: readonly string[] | undefined, call: DpopCall): Promise<DpopProof> {
  const proof = soleProof(header);
  const publicKey = publicKeyOf(proof);
  const now = call.now ?? new Date();
  const claims = await verifiedClaims(proof, publicKey, now);

  if (claims['htm'] !== call.method)
    throw new DpopProofRefused('wrong-method', 'The DPoP proof is for another HTTP method. Sign one for each call.');
  const address = comparable(call.url);
  if (address === undefined) throw new TypeError(`The server's own address is not an http(s) address: ${call.url}.`);
  if (comparable(claims['htu']) !== address)
    throw new DpopProofRefused(
      'wrong-url',
      `The DPoP proof is for another address. Sign one whose htu is ${call.url}.`,
    );
  const issuedAt = freshIssuedAt(claims['iat'], now);
  if (call.accessToken !== undefined && claims['ath'] !== sha256(call.accessToken))
    throw new DpopProofRefused('wrong-token', 'The DPoP proof is not bound to this access token. Set ath to its hash.');
  if (call.nonce !== undefined && claims['nonce'] !== call.nonce)
    throw new DpopProofRefused(
      'wrong-nonce',
      'The DPoP proof lacks the nonce of the header DPoP-Nonce. Sign one with it.',
    );
  const jti = claims['jti'];
  if (typeof jti !== 'string' || jti === '' || jti.length > longestJtiCharacters)
    throw new DpopProofRefused('no-jti', `The DPoP proof needs a jti of 1 to ${longestJtiCharacters} characters.`);

  const thumbprint = await calculateJwkThumbprint(publicKey, 'sha256');
  if (call.boundTo !== undefined && thumbprint !== call.boundTo)
    throw new DpopProofRefused(
      'wrong-key',
      'The access token is bound to another key than the DPoP proof is signed with.',
    );
  // With the key, so that nobody can use up the jti of another's proof; hashed, so that what is remembered is short.
  const isFirstUse = await call.useOnce(
    sha256(`${thumbprint}.${jti}`),
    new Date((issuedAt + rememberedSeconds) * 1000),
  );
  if (isFirstUse !== true)
    throw new DpopProofRefused(
      'replayed',
      'The DPoP proof was used before. Sign one for each call, with a jti of its own.',
    );
  return { thumbprint, publicKey };
}

/** RFC 9449 §4.3, 1: not more than one header; a list in one header is not a JWT and is refused with the parse. */
function soleProof(header: readonly string[] | undefined): string {
  const [proof] = header ?? [];
  if (proof === undefined || header === undefined)
    throw new DpopProofRefused('missing', 'The header DPoP is missing. Send a proof for this call (RFC 9449).');
  if (header.length > 1) throw new DpopProofRefused('repeated', 'The header DPoP must be sent once.');
  if (proof.length > longestProofCharacters)
    throw new DpopProofRefused('too-long', `The DPoP proof is longer than ${longestProofCharacters} characters.`);
  return proof;
}

const publicMembers = { EC: ['crv', 'x', 'y'], OKP: ['crv', 'x'], RSA: ['e', 'n'] } as const;
const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'];

/** Only what makes the key is read on: `kid`, `alg`, `use` or `x5c` of a stranger's key mean nothing here. */
function publicKeyOf(proof: string): JWK {
  const header = protectedHeader(proof);
  if (header.typ !== 'dpop+jwt')
    throw new DpopProofRefused('wrong-typ', 'The header DPoP holds a JWT whose typ is not dpop+jwt.');
  if (!dpopAlgorithms.some((algorithm) => algorithm === header.alg))
    throw new DpopProofRefused(
      'algorithm-not-allowed',
      `The DPoP proof must be signed with ${dpopAlgorithms.join(', ')}.`,
    );
  const jwk: unknown = header.jwk;
  if (!isRecord(jwk) || privateMembers.some((member) => member in jwk))
    throw new DpopProofRefused('key-not-public', 'The DPoP proof must carry its public key, and only that, as jwk.');
  const kty = jwk['kty'];
  if (kty !== 'EC' && kty !== 'OKP' && kty !== 'RSA')
    throw new DpopProofRefused('key-not-public', 'The key of the DPoP proof must be of kty EC, OKP or RSA.');
  const members = publicMembers[kty].map((name) => [name, jwk[name]]);
  if (members.some(([, value]) => typeof value !== 'string'))
    throw new DpopProofRefused('key-not-public', `The key of the DPoP proof lacks a member of kty ${kty}.`);
  return { kty, ...Object.fromEntries(members) };
}

function protectedHeader(proof: string) {
  try {
    return decodeProtectedHeader(proof);
  } catch (cause) {
    throw new DpopProofRefused('malformed', 'The header DPoP does not hold a signed JWT.', { cause });
  }
}

async function verifiedClaims(proof: string, publicKey: JWK, now: Date): Promise<Record<string, unknown>> {
  try {
    const { payload } = await jwtVerify(
      proof,
      async ({ alg }) => importJWK(publicKey, alg),
      // exp and nbf are no claims of a proof; one that sets them is held to them.
      { typ: 'dpop+jwt', algorithms: [...dpopAlgorithms], currentDate: now, clockTolerance: clockToleranceSeconds },
    );
    return payload;
  } catch (cause) {
    if (cause instanceof errors.JWSSignatureVerificationFailed)
      throw new DpopProofRefused('wrong-signature', 'The DPoP proof is not signed by the key that it carries.', {
        cause,
      });
    if (cause instanceof errors.JWTExpired)
      throw new DpopProofRefused('too-old', 'The DPoP proof has expired. Sign one for each call.', { cause });
    if (cause instanceof errors.JWTClaimValidationFailed && cause.claim === 'nbf')
      throw new DpopProofRefused('from-the-future', 'The DPoP proof is not valid yet. Compare the clocks.', { cause });
    // Every other failure is one of the stranger's bytes: a point not on the curve, a short RSA key, bad JSON, crit.
    throw new DpopProofRefused('malformed', 'The DPoP proof is not a JWT whose key and signature can be checked.', {
      cause,
    });
  }
}

function freshIssuedAt(issuedAt: unknown, now: Date): number {
  const nowSeconds = now.getTime() / 1000;
  if (typeof issuedAt !== 'number' || issuedAt < nowSeconds - longestAgeSeconds)
    throw new DpopProofRefused(
      'too-old',
      `The DPoP proof is older than ${longestAgeSeconds} seconds. Sign one for each call.`,
    );
  if (issuedAt > nowSeconds + clockToleranceSeconds)
    throw new DpopProofRefused('from-the-future', 'The DPoP proof is dated in the future. Compare the clocks.');
  return issuedAt;
}

/**
 * RFC 9449 §4.3: without query and fragment, normalised by syntax and scheme (RFC 3986 §6.2.2, §6.2.3): scheme and host in
 * lower case, no default port, no dot segments, unreserved characters unescaped. The path's case and its last slash count.
 */
function comparable(address: unknown): string | undefined {
  // The parser of URL forgives what no URI has: spaces, line ends, backslashes.
  if (typeof address !== 'string' || !/^https?:\/\/[\x21-\x5b\x5d-\x7e]+$/i.test(address) || !URL.canParse(address))
    return undefined;
  const url = new URL(address);
  if (url.username !== '' || url.password !== '') return undefined;
  const path = url.pathname.replaceAll(/%[0-9a-f]{2}/gi, (escaped) => {
    const character = String.fromCharCode(Number.parseInt(escaped.slice(1), 16));
    return /[A-Za-z0-9._~-]/.test(character) ? character : escaped.toUpperCase();
  });
  return `${url.origin}${path}`;
}

/** The hash of RFC 9449 §4.2 (`ath`): SHA-256 in base64url. */
function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
