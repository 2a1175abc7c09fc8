import { errors, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { z } from 'zod';
import type { AgentRegistration } from '../../domain/agents.ts';
import { findAgent } from '../../ledger/agentAuthentication.ts';
import { useOnce } from '../../ledger/singleUse.ts';
import type { ApiDependencies } from '../ports.ts';
import { Problem } from '../problem.ts';
import { keyOf, numericDate } from './agentAssertion.ts';
import { AgentKeysUnavailable, agentJwks } from './agentJwks.ts';
import { algorithms, clockToleranceSeconds } from './signatures.ts';

/** How old a proof by an agent's key may be, and how long it is remembered twice over. */
const longestAgeSeconds = 60;

const claimsSchema = z.object({
  aud: z.string(),
  nonce: z.string(),
  iat: numericDate,
  jti: z.string().min(1).max(200),
});

/** What an agent signed with the key that it is registered with. */
export interface AgentProof {
  /** RFC 3339: when it was signed, by the agent's clock. */
  readonly signedAt: string;
  /** Effect: it counts as used. @returns false when it was used before */
  use(): Promise<boolean>;
}

export interface Proving {
  /** `agent:<identity>`. */
  readonly agent: string;
  readonly identityId: string;
  /** What it was shown. */
  readonly digest: string;
  readonly proof: string;
}

/** @returns why not, for the agent to read, where it does not hold; nothing is used up by that */
export type ProofVerifier = (given: Proving) => Promise<AgentProof | { readonly refused: string }>;

/**
 * Verifies that the agent itself signed the digest that it was shown (`typ` tenure-proof+jwt, so that no assertion is a
 * proof), a minute ago at most, with a key that counts now. An agent that is known by its workload's subject has none.
 * @throws Problem `sign-in-unavailable` when its keys cannot be fetched
 */
export function agentProofs({
  configuration: { publicUrl },
  ledger: { prisma },
  now,
}: Pick<ApiDependencies, 'configuration' | 'ledger' | 'now'>): ProofVerifier {
  const jwks = agentJwks({ publicUrl, now });

  function keysOf(registration: AgentRegistration): JWTVerifyGetKey | undefined {
    if ('publicKey' in registration) return keyOf(registration.publicKey);
    return 'jwksUri' in registration ? jwks(registration.jwksUri) : undefined;
  }

  return async ({ agent, identityId, digest, proof }) => {
    const known = await findAgent(prisma, identityId);
    for (const { registration, isAccepted } of known?.registrations ?? []) {
      const keys = isAccepted ? keysOf(registration) : undefined;
      if (keys === undefined) continue;
      try {
        const { payload } = await jwtVerify(proof, keys, {
          ...{ algorithms, issuer: agent, audience: publicUrl, typ: 'tenure-proof+jwt', currentDate: now() },
          ...{ clockTolerance: clockToleranceSeconds, maxTokenAge: longestAgeSeconds },
        });
        const claims = claimsSchema.safeParse(payload);
        if (!claims.success) return { refused: 'It lacks "nonce" or "jti", or names another audience too.' };
        const { nonce, iat, jti } = claims.data;
        if (nonce !== digest) return { refused: 'Its nonce is not the digest that you sent with it.' };
        return { signedAt: new Date(iat * 1000).toISOString(), use: () => useProof(prisma, identityId, jti, iat) };
      } catch (error) {
        if (error instanceof AgentKeysUnavailable) throw keysUnavailable(error);
        if (!(error instanceof errors.JOSEError)) throw error;
        // Another key may have signed it; whatever else is wrong is so by every key.
        if (!(error instanceof errors.JWSSignatureVerificationFailed || error instanceof errors.JWKSNoMatchingKey))
          return { refused: refusalOf(error) };
      }
    }
    return { refused: 'It is not signed by a key that is registered of this agent now.' };
  };
}

function keysUnavailable(cause: AgentKeysUnavailable): Problem {
  const detail =
    "The keys at the agent's registered address cannot be fetched now, so its proof cannot be checked. Try again.";
  return new Problem('sign-in-unavailable', detail, { headers: { 'Retry-After': '5' }, cause });
}

function useProof(
  prisma: ApiDependencies['ledger']['prisma'],
  identityId: string,
  jti: string,
  iat: number,
): Promise<boolean> {
  const until = new Date((iat + 2 * longestAgeSeconds) * 1000);
  return useOnce(prisma, { purpose: 'agent-proof', value: `${identityId}/${jti}`, until });
}

function refusalOf(error: errors.JOSEError): string {
  if (error instanceof errors.JWTExpired) return `It is older than ${longestAgeSeconds} seconds.`;
  if (error instanceof errors.JWTClaimValidationFailed)
    return `Its "${error.claim}" is not as expected: typ tenure-proof+jwt, iss the agent, aud the publicUrl, iat now.`;
  return 'It is not a signed JWT that can be verified.';
}
