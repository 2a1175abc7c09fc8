import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { calculateJwkThumbprint } from 'jose';
import {
  type KeptSigningKey,
  type PublicSigningKey,
  type SigningAlgorithm,
  signingKeys,
} from '../../ledger/signingKeys.ts';
import type { Issuer } from './issuer.ts';
import { IssuerRefused } from './issuerErrors.ts';
import { createLedgerIssuer, type LedgerIssuerPlace } from './ledgerIssuer.ts';

const generate = promisify(generateKeyPair);

/** NIST SP 800-57 part 1, table 2: 128 bits of security, as P-256 has. */
const rsaBits = 3072;

const generators: Readonly<Record<SigningAlgorithm, () => Promise<{ readonly privateKey: KeyObject }>>> = {
  ES256: () => generate('ec', { namedCurve: 'P-256' }),
  RS256: () => generate('rsa', { modulusLength: rsaBits }),
};

/**
 * Keys that sign in Tenure's own name: the private half (PKCS#8, PEM) goes to the store alone, the public half to
 * a table of the ledger's database, from where it is published. A secret is accepted when it is the private half.
 * @param algorithm of keys made from now on; those of another that were made before stay good
 */
export function createSigningKeyIssuer(
  name: string,
  { algorithm = 'ES256', ...place }: Omit<LedgerIssuerPlace, 'scopes'> & { readonly algorithm?: SigningAlgorithm },
): Issuer {
  return createLedgerIssuer(
    name,
    { ...place, scopes: ['sign'] },
    {
      type: 'signing-key',
      lastUsed: false,
      rows: signingKeys,
      async generateSecret() {
        const { privateKey } = await generators[algorithm]();
        return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
      },
      async keptOf({ handle, secret }) {
        const kept = await keptOf(secret);
        if (kept === undefined)
          throw new IssuerRefused(
            name,
            handle,
            `what is staged for it is no private key of P-256 or RSA with ${rsaBits} bits`,
          );
        return kept;
      },
      accepts: async ({ kid }, secret) => (await keptOf(secret))?.kid === kid,
    },
  );
}

async function keptOf(secret: string): Promise<KeptSigningKey | undefined> {
  const privateKey = readPrivateKey(secret);
  const publicKey = privateKey === undefined ? undefined : publicHalfOf(privateKey);
  return publicKey === undefined ? undefined : { kid: await calculateJwkThumbprint(publicKey), publicKey };
}

function publicHalfOf(privateKey: KeyObject): PublicSigningKey | undefined {
  const { namedCurve, modulusLength } = privateKey.asymmetricKeyDetails ?? {};
  const { x, y, n, e } = createPublicKey(privateKey).export({ format: 'jwk' });
  if (namedCurve === 'prime256v1' && x !== undefined && y !== undefined) return { kty: 'EC', crv: 'P-256', x, y };
  if (modulusLength === rsaBits && n !== undefined && e !== undefined) return { kty: 'RSA', n, e };
  return undefined;
}

/** Undefined when it is no private key: the parser's own error could repeat what was read. */
function readPrivateKey(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}
