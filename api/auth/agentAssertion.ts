import { createLocalJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { z } from 'zod';
import { algorithms, clockToleranceSeconds } from './signatures.ts';

/** How far ahead an assertion may expire, and how long it may live. */
export const longestAssertionSeconds = 300;

/** Why an agent was not authenticated; evidence has these words. */
export type AgentRefusal =
  | 'no-registration'
  | 'algorithm'
  | 'bad-signature'
  | 'not-an-assertion'
  | 'malformed'
  | 'wrong-audience'
  | 'expired'
  | 'not-yet-valid'
  | 'too-long-lived'
  | 'wrong-claims'
  | 'retired-key'
  | 'not-active'
  | 'replayed';

export class AssertionRefused extends Error {
  override readonly name = 'AssertionRefused';
  readonly reason: AgentRefusal;
  constructor(reason: AgentRefusal, options?: ErrorOptions) {
    super(`The assertion is refused: ${reason}.`, options);
    this.reason = reason;
  }
}

export interface Assertion {
  readonly jti: string;
  readonly expiresAt: Date;
}

/** RFC 7519 §2: seconds since the Unix epoch, which may have a fraction. */
export const numericDate = z.number().min(0).max(253_402_300_799);

const claimsSchema = z.object({
  aud: z.union([z.string(), z.array(z.string())]),
  iat: numericDate,
  exp: numericDate,
  jti: z.string().min(1).max(200),
});

/** What the key also signs (a proof has a `typ` of its own) is no assertion. */
const types: readonly unknown[] = [undefined, 'jwt', 'client-authentication+jwt'];

/** Of one public key. It matches `alg`, `kid` and `use` of the header against those of the key. */
export function keyOf(jwk: Readonly<Record<string, string>>): JWTVerifyGetKey {
  return createLocalJWKSet({ keys: [{ ...jwk, kty: jwk['kty'] ?? '' }] });
}

/**
 * Verifies `private_key_jwt` (RFC 7523 §3) by one key, except that it was not used before.
 * @param agent `agent:<identity>`: issuer and subject
 * @param audience the only one it may name
 * @throws AssertionRefused; whatever `getKey` throws when the keys cannot be had
 */
export async function verifyAssertion(
  token: string,
  getKey: JWTVerifyGetKey,
  { agent, audience, now }: { agent: string; audience: string; now: Date },
): Promise<Assertion> {
  const { payload, protectedHeader } = await verifySignature(token, getKey, agent, now);
  if (!types.includes(protectedHeader.typ?.toLowerCase())) throw new AssertionRefused('not-an-assertion');
  const claims = claimsSchema.safeParse(payload);
  if (!claims.success) throw new AssertionRefused('wrong-claims');
  const { aud, iat, exp, jti } = claims.data;
  const audiences = [aud].flat();
  if (audiences.length !== 1 || audiences[0] !== audience) throw new AssertionRefused('wrong-audience');
  const nowSeconds = Math.floor(now.getTime() / 1000);
  if (iat > nowSeconds + clockToleranceSeconds) throw new AssertionRefused('not-yet-valid');
  if (exp > nowSeconds + longestAssertionSeconds + clockToleranceSeconds || exp - iat > longestAssertionSeconds)
    throw new AssertionRefused('too-long-lived');
  return { jti, expiresAt: new Date(exp * 1000) };
}

async function verifySignature(
  token: string,
  getKey: JWTVerifyGetKey,
  agent: string,
  now: Date,
): Promise<{ payload: JWTPayload; protectedHeader: { typ?: string } }> {
  try {
    return await jwtVerify(token, getKey, {
      algorithms,
      issuer: agent,
      subject: agent,
      clockTolerance: clockToleranceSeconds,
      currentDate: now,
    });
  } catch (cause) {
    const reason = reasonOf(cause);
    if (reason === undefined) throw cause;
    throw new AssertionRefused(reason, { cause });
  }
}

function reasonOf(cause: unknown): AgentRefusal | undefined {
  if (cause instanceof errors.JWTExpired) return 'expired';
  if (cause instanceof errors.JWTClaimValidationFailed) return cause.claim === 'nbf' ? 'not-yet-valid' : 'wrong-claims';
  if (cause instanceof errors.JOSEAlgNotAllowed) return 'algorithm';
  if (
    cause instanceof errors.JWSSignatureVerificationFailed ||
    cause instanceof errors.JWKSNoMatchingKey ||
    cause instanceof errors.JWKSMultipleMatchingKeys
  )
    return 'bad-signature';
  if (
    cause instanceof errors.JWSInvalid ||
    cause instanceof errors.JWTInvalid ||
    cause instanceof errors.JOSENotSupported
  )
    return 'malformed';
  return undefined;
}
