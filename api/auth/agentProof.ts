import { errors, jwtVerify } from 'jose';
import { z } from 'zod';
import { findAgent } from '../../ledger/agentAuthentication.ts';
import { useOnce } from '../../ledger/singleUse.ts';
import type { ApiDependencies } from '../ports.ts';
import { keyOf } from './agentAssertion.ts';
import { algorithms, clockToleranceSeconds } from './signatures.ts';

/** How old a proof by an agent's key may be, and how long it is remembered twice over. */
const longestAgeSeconds = 60;

const claimsSchema = z.object({ nonce: z.string(), iat: z.int(), jti: z.string().min(1).max(200) });

/** What an agent signed with the key that it is registered with. */
export interface AgentProof {
  /** RFC 3339: when it was signed, by the agent's clock. */
  readonly signedAt: string;
  /** Effect: it counts as used. @returns false when it was used before */
  use(): Promise<boolean>;
}

/**
 * Verifies that the agent itself signed the digest that it was shown (`typ` tenure-proof+jwt, so that no assertion is a
 * proof), a minute ago at most, with a key that counts now.
 * @returns why not, for the agent to read, where it does not hold; nothing was used up by that
 */
export async function verifyAgentProof(
  { configuration: { publicUrl }, ledger, now }: Pick<ApiDependencies, 'configuration' | 'ledger' | 'now'>,
  { agent, identityId, digest, proof }: { agent: string; identityId: string; digest: string; proof: string },
): Promise<AgentProof | { readonly refused: string }> {
  const known = await findAgent(ledger.prisma, identityId);
  for (const { registration, isAccepted } of known?.registrations ?? []) {
    if (!isAccepted || !('publicKey' in registration)) continue;
    try {
      const { payload } = await jwtVerify(proof, keyOf(registration.publicKey), {
        ...{ algorithms, issuer: agent, audience: publicUrl, typ: 'tenure-proof+jwt', currentDate: now() },
        ...{ clockTolerance: clockToleranceSeconds, maxTokenAge: longestAgeSeconds },
      });
      const claims = claimsSchema.safeParse(payload);
      if (!claims.success || typeof payload.aud !== 'string')
        return { refused: 'It lacks "nonce", "jti" or its audience.' };
      if (claims.data.nonce !== digest) return { refused: 'Its nonce is not the digest that the request shows.' };
      const { iat, jti } = claims.data;
      return { signedAt: new Date(iat * 1000).toISOString(), use: () => useProof(ledger.prisma, identityId, jti, iat) };
    } catch (error) {
      if (!(error instanceof errors.JOSEError)) throw error;
      // Another key may have signed it; whatever else is wrong is so by every key.
      if (!(error instanceof errors.JWSSignatureVerificationFailed || error instanceof errors.JWKSNoMatchingKey))
        return { refused: refusalOf(error) };
    }
  }
  return { refused: 'It is not signed by a key that is registered of this agent now.' };
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
