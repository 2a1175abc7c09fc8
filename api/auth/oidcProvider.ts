import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import type { OidcProvider } from '../../configuration/configurationSchema.ts';
import { Problem } from '../problem.ts';
import { algorithms, clockToleranceSeconds } from './signatures.ts';

const fetchTimeoutMs = 5_000;

export interface TokenVerifier {
  readonly provider: OidcProvider;
  /**
   * The claims of a token that this provider signed for our audience and that is valid now (RFC 7519, RFC 9068 §4).
   * @throws Problem `unauthenticated` saying what is wrong with it; `sign-in-unavailable` when the keys cannot be fetched
   */
  verify(token: string): Promise<JWTPayload>;
}

/** Keys are found by OpenID Connect Discovery at first use, so that the API starts while the provider is down. */
export function tokenVerifier(provider: OidcProvider, now: () => Date = () => new Date()): TokenVerifier {
  let keys: Promise<JWTVerifyGetKey> | undefined;
  async function signingKeys(): Promise<JWTVerifyGetKey> {
    keys ??= discover(provider);
    try {
      return await keys;
    } catch (cause) {
      keys = undefined; // asked again by the next caller
      throw signInUnavailable(provider, cause);
    }
  }
  return {
    provider,
    async verify(token) {
      const getKey = await signingKeys();
      try {
        const { payload } = await jwtVerify(token, getKey, {
          currentDate: now(),
          issuer: provider.issuer,
          audience: provider.audience,
          algorithms,
          clockTolerance: clockToleranceSeconds,
          requiredClaims: ['exp', 'iss', 'aud'],
        });
        return payload;
      } catch (cause) {
        throw refusalOf(cause, provider);
      }
    },
  };
}

async function discover(provider: OidcProvider): Promise<JWTVerifyGetKey> {
  const address = `${provider.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  // A redirect could lead the fetch of trust anchors anywhere.
  const response = await fetch(address, {
    redirect: 'error',
    signal: AbortSignal.timeout(fetchTimeoutMs),
    headers: { Accept: 'application/json' },
  });
  if (!response.ok) throw new Error(`${address} answered ${response.status}`);
  const document: unknown = await response.json();
  if (
    typeof document !== 'object' ||
    document === null ||
    !('issuer' in document) ||
    !('jwks_uri' in document) ||
    typeof document.jwks_uri !== 'string'
  )
    throw new Error(`${address} is not an OpenID Connect discovery document`);
  // OpenID Connect Discovery 1.0 §4.3: the document must be this issuer's own.
  if (document.issuer !== provider.issuer)
    throw new Error(`${address} names another issuer than tenure.yaml: write it exactly as the provider does`);
  const jwksUri = new URL(document.jwks_uri);
  if (jwksUri.protocol !== 'https:' && new URL(provider.issuer).protocol === 'https:')
    throw new Error(`${address} names keys that are not behind https`);
  return createRemoteJWKSet(jwksUri, {
    timeoutDuration: fetchTimeoutMs,
    cooldownDuration: 10_000,
    cacheMaxAge: 600_000,
  });
}

function refusalOf(cause: unknown, provider: OidcProvider): Problem {
  if (cause instanceof errors.JWTExpired)
    return unauthenticated('The token has expired. Get a new one and repeat the request.', cause);
  if (cause instanceof errors.JWTClaimValidationFailed) return unauthenticated(claimFault(cause, provider), cause);
  if (cause instanceof errors.JOSEAlgNotAllowed)
    return unauthenticated(
      `The token is signed with an algorithm that is not accepted. Use one of ${algorithms.join(', ')}.`,
      cause,
    );
  if (
    cause instanceof errors.JWSSignatureVerificationFailed ||
    cause instanceof errors.JWKSNoMatchingKey ||
    cause instanceof errors.JWKSMultipleMatchingKeys
  )
    return unauthenticated(
      `The token's signature is not of provider "${provider.name}". Get a new token from it.`,
      cause,
    );
  if (
    cause instanceof errors.JWKSTimeout ||
    cause instanceof errors.JWKSInvalid ||
    !(cause instanceof errors.JOSEError) ||
    cause.code === 'ERR_JOSE_GENERIC'
  )
    return signInUnavailable(provider, cause);
  return unauthenticated('The token is not a well-formed signed JWT. Get a new one.', cause);
}

function claimFault(cause: errors.JWTClaimValidationFailed, provider: OidcProvider): string {
  if (cause.claim === 'aud')
    return `The token is not for audience "${provider.audience}". Ask provider "${provider.name}" for a token with it.`;
  if (cause.claim === 'nbf') return 'The token is not valid yet. Compare the clocks of this machine and the provider.';
  return `The token's claim "${cause.claim}" is missing or not as it must be. Get a new token from provider "${provider.name}".`;
}

/** RFC 6750 §3: a 401 names the scheme and what was wrong. */
export function unauthenticated(detail: string, cause?: unknown): Problem {
  return new Problem('unauthenticated', detail, {
    headers: { 'WWW-Authenticate': 'Bearer realm="tenure", error="invalid_token"' },
    cause,
  });
}

function signInUnavailable(provider: OidcProvider, cause: unknown): Problem {
  return new Problem(
    'sign-in-unavailable',
    `The keys of provider "${provider.name}" cannot be fetched now, so no token of it can be checked. Try again; if it lasts, check the provider and oidc in tenure.yaml.`,
    {
      headers: { 'Retry-After': '5' },
      cause,
    },
  );
}
