import { createRemoteJWKSet, errors, type JWTPayload, jwtVerify } from 'jose';
import { dpopAlgorithms, isRecord } from './dpopProof.ts';

/** What a Tenure grant gives: one action of one tool, on one resource, in one workspace, to one agent. */
export interface Grant {
  /** Of the token (`jti`). */
  readonly id: string;
  /** `agent:<identity>` */
  readonly agent: string;
  /** The person it acts for: shown by their own token, or only said by the agent. */
  readonly onBehalfOf?: {
    readonly person: string;
    readonly isVerified: boolean;
    /** When they last signed in, where their token said (`auth_time`). */
    readonly authenticatedAt?: Date;
  };
  /** `<tool>:<action>` */
  readonly scopes: readonly string[];
  readonly resource: string;
  readonly workspace: string;
  readonly expiresAt: Date;
  /** RFC 7638 thumbprint of the key that the grant is bound to. */
  readonly boundTo: string;
}

/** The token is no grant for this server. The message never repeats it. */
export class GrantRefused extends Error {
  override readonly name = 'GrantRefused';
}

/** Something that a grant is checked with cannot be reached: nothing is known about the grant, and nobody is let in. */
export class CheckUnavailable extends Error {
  override readonly name = 'CheckUnavailable';
}

export interface GrantVerifier {
  /** @throws GrantRefused, or CheckUnavailable when the issuer's keys cannot be fetched */
  verify(token: string): Promise<Grant>;
}

const clockToleranceSeconds = 5;
const fetchTimeoutMs = 5_000;
/** A key that is new is looked for at most this often, so that tokens with made-up keys are no flood at the issuer. */
const keysCooldownMs = 10_000;
/** A key that the issuer withdrew is trusted no longer. */
const keysMaxAgeMs = 300_000;

/** Verifies access tokens by RFC 9068 §4 against the keys that the issuer publishes. Keys are fetched at first use. */
export function grantVerifier({ issuer, audience }: { issuer: string; audience: string }): GrantVerifier {
  const keys = createRemoteJWKSet(new URL(`${issuer.replace(/\/$/, '')}/.well-known/jwks.json`), {
    timeoutDuration: fetchTimeoutMs,
    cooldownDuration: keysCooldownMs,
    cacheMaxAge: keysMaxAgeMs,
  });
  return {
    async verify(token) {
      try {
        const { payload } = await jwtVerify(token, keys, {
          typ: 'at+jwt',
          issuer,
          audience,
          algorithms: [...dpopAlgorithms],
          clockTolerance: clockToleranceSeconds,
          requiredClaims: ['exp', 'iat', 'sub', 'client_id', 'jti'],
        });
        return grantOfClaims(payload);
      } catch (cause) {
        throw refusalOf(cause);
      }
    },
  };
}

function grantOfClaims(claims: JWTPayload): Grant {
  const { exp = 0, iat = Number.POSITIVE_INFINITY } = claims;
  if (iat > Date.now() / 1000 + clockToleranceSeconds)
    throw new GrantRefused('The access token is dated in the future. Compare the clocks.');
  const cnf: unknown = claims['cnf'];
  const boundTo = isRecord(cnf) ? cnf['jkt'] : undefined;
  if (typeof boundTo !== 'string')
    throw new GrantRefused('The access token is not bound to a key. Grants are (cnf.jkt, RFC 9449).');
  const agent = text(claims, 'client_id');
  return {
    id: text(claims, 'jti'),
    agent,
    ...personBehind(claims, agent),
    scopes: text(claims, 'scope').split(' '),
    resource: text(claims, 'tenure_resource'),
    workspace: text(claims, 'tenure_workspace'),
    expiresAt: new Date(exp * 1000),
    boundTo,
  };
}

/** RFC 8693 §4.1: `sub` is who is acted for, `act` who acts. Without `act` the agent acts for itself, whatever it says. */
function personBehind(claims: JWTPayload, agent: string): Pick<Grant, 'onBehalfOf'> {
  const subject = text(claims, 'sub');
  const act: unknown = claims['act'];
  if (act !== undefined) {
    if (!isRecord(act) || act['sub'] !== agent || subject === agent)
      throw new GrantRefused('The access token is acted with by another party than its client.');
    const authTime: unknown = claims['auth_time'];
    return {
      onBehalfOf: {
        ...{ person: subject, isVerified: true },
        ...(typeof authTime === 'number' ? { authenticatedAt: new Date(authTime * 1000) } : {}),
      },
    };
  }
  if (subject !== agent) throw new GrantRefused('The access token names a person, but not who acts for that person.');
  const asserted: unknown = claims['asserted_sub'];
  return typeof asserted === 'string' ? { onBehalfOf: { person: asserted, isVerified: false } } : {};
}

function text(claims: JWTPayload, name: string): string {
  const value = claims[name];
  if (typeof value !== 'string' || value === '')
    throw new GrantRefused(`The access token has no claim "${name}", so it is no grant of Tenure.`);
  return value;
}

function refusalOf(cause: unknown): Error {
  if (cause instanceof GrantRefused) return cause;
  if (cause instanceof errors.JWTExpired)
    return new GrantRefused('The access token has expired. Ask for a new step-up.', { cause });
  if (cause instanceof errors.JWTClaimValidationFailed)
    return new GrantRefused(`The access token's "${cause.claim}" is missing or not as it must be here.`, { cause });
  if (cause instanceof errors.JOSEAlgNotAllowed)
    return new GrantRefused('The access token is signed with an algorithm that is not accepted.', { cause });
  if (
    cause instanceof errors.JWSSignatureVerificationFailed ||
    cause instanceof errors.JWKSNoMatchingKey ||
    cause instanceof errors.JWKSMultipleMatchingKeys
  )
    return new GrantRefused('The access token is not signed by its issuer.', { cause });
  if (
    cause instanceof errors.JWKSTimeout ||
    cause instanceof errors.JWKSInvalid ||
    !(cause instanceof errors.JOSEError) ||
    cause.code === 'ERR_JOSE_GENERIC'
  )
    return new CheckUnavailable('The keys of the issuer of grants cannot be fetched.', { cause });
  return new GrantRefused('The access token is not a well-formed signed JWT.', { cause });
}
