import { compactVerify, decodeJwt, decodeProtectedHeader, errors, importJWK } from 'jose';
import { z } from 'zod';
import type { Configuration } from '../../configuration/configurationSchema.ts';
import { idPattern } from '../../domain/ids.ts';
import type { OpenedLedger } from '../../ledger/openLedger.ts';
import { type FindSignedGrant, type NamedGrant, type SignedGrant, signedGrants } from '../../ledger/signedGrants.ts';
import { type PublicSigningKey, signingAlgorithms } from '../../ledger/signingKeys.ts';
import { remembered } from '../remembered.ts';

/** Ours are shorter than this by far; a longer one costs a parse before it is known to be none. */
const longestToken = 8_192;
/** RFC 7515 §3.1 with a signature of ES256 or of RS256 with our keys (RFC 7518 §3.3, §3.4): decoders pass over characters that do not belong. */
const compactForm = /^[\w-]+\.[\w-]+\.(?:[\w-]{86}|[\w-]{512})$/;
/** How many signatures are remembered: some megabytes. */
const mostRemembered = 20_000;

/** RFC 9068 §2.1, §4: nothing but exactly what the signer writes. */
const Header = z.strictObject({
  alg: z.enum(Object.values(signingAlgorithms)),
  typ: z.literal('at+jwt'),
  kid: z.string().max(100),
});
const Claims = z.object({ iss: z.string(), jti: z.string().regex(idPattern) });

/** The grant that a token was made from, as it stands now; undefined when it is no token that this installation signed. */
export interface GrantTokens {
  /** For who lets somebody in by it: undefined too while the key that signed it may not be trusted. */
  trusted(token: string): Promise<SignedGrant | undefined>;
  /** For who gives it back: signed by a key of the signer, frozen and revoked ones included. */
  genuine(token: string): Promise<SignedGrant | undefined>;
}

/**
 * Reads tokens of our own. The grant is read from the ledger each time; only that a signature is good is remembered, since
 * that never changes: whether the key may still be trusted is asked with the grant.
 */
export function grantTokens({
  configuration: { publicUrl, grants },
  ledger: { direct },
}: {
  configuration: Pick<Configuration, 'publicUrl' | 'grants'>;
  ledger: Pick<OpenedLedger, 'direct'>;
}): GrantTokens {
  if (grants.signer === undefined) return { trusted: async () => undefined, genuine: async () => undefined };
  const { standing, genuine } = signedGrants(direct, grants.signer);
  const signed = remembered<NamedGrant>(mostRemembered);

  async function isSigned(token: string, publicKey: PublicSigningKey): Promise<boolean> {
    const algorithm = signingAlgorithms[publicKey.kty];
    try {
      await compactVerify(token, await importJWK({ ...publicKey }, algorithm), { algorithms: [algorithm] });
      return true;
    } catch (error) {
      if (error instanceof errors.JOSEError) return false;
      throw error;
    }
  }

  async function read(token: string, find: FindSignedGrant): Promise<SignedGrant | undefined> {
    const known = signed.of(token);
    const named = known ?? nameOf(token, publicUrl);
    if (named === undefined) return undefined;
    const found = await find(named);
    if (found?.publicKey == null) return undefined;
    if (known === undefined) {
      if (!(await isSigned(token, found.publicKey))) return undefined;
      signed.keep(token, named);
    }
    return found;
  }

  return {
    trusted: (token) => read(token, standing),
    genuine: (token) => read(token, genuine),
  };
}

/** What a token says that it is, before anything of it is verified: only to find the grant and the key. */
function nameOf(token: string, issuer: string): NamedGrant | undefined {
  if (token.length > longestToken || !compactForm.test(token)) return undefined;
  try {
    const header = Header.safeParse(decodeProtectedHeader(token));
    const claims = Claims.safeParse(decodeJwt(token));
    if (!header.success || !claims.success || claims.data.iss !== issuer) return undefined;
    return { grantId: claims.data.jti, kid: header.data.kid };
  } catch {
    // Not a JWT at all. jose says it with a TypeError or an error of its own, and either may repeat what was sent.
    return undefined;
  }
}
