import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { calculateJwkThumbprint } from 'jose';
import { type KeptSigningKey, type PublicSigningKey, signingKeys } from '../../ledger/signingKeys.ts';
import type { Issuer } from './issuer.ts';
import { IssuerRefused } from './issuerErrors.ts';
import { createLedgerIssuer, type LedgerIssuerPlace } from './ledgerIssuer.ts';

const generate = promisify(generateKeyPair);

/**
 * Keys that sign in Tenure's own name (ES256): the private half (PKCS#8, PEM) goes to the store alone, the public half to
 * a table of the ledger's database, from where it is published. A secret is accepted when it is the private half.
 */
export function createSigningKeyIssuer(name: string, place: Omit<LedgerIssuerPlace, 'scopes'>): Issuer {
  return createLedgerIssuer(
    name,
    { ...place, scopes: ['sign'] },
    {
      type: 'signing-key',
      lastUsed: false,
      rows: signingKeys,
      async generateSecret() {
        const { privateKey } = await generate('ec', { namedCurve: 'P-256' });
        return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
      },
      async keptOf({ handle, secret }) {
        const kept = await keptOf(secret);
        if (kept === undefined) throw new IssuerRefused(name, handle, 'what is staged for it is no P-256 private key');
        return kept;
      },
      accepts: async ({ kid }, secret) => (await keptOf(secret))?.kid === kid,
    },
  );
}

async function keptOf(secret: string): Promise<KeptSigningKey | undefined> {
  const privateKey = readPrivateKey(secret);
  if (privateKey?.asymmetricKeyDetails?.namedCurve !== 'prime256v1') return undefined;
  const { x, y } = createPublicKey(privateKey).export({ format: 'jwk' });
  if (x === undefined || y === undefined) return undefined;
  const publicKey: PublicSigningKey = { kty: 'EC', crv: 'P-256', x, y };
  return { kid: await calculateJwkThumbprint(publicKey), publicKey };
}

/** Undefined when it is no private key: the parser's own error could repeat what was read. */
function readPrivateKey(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}
