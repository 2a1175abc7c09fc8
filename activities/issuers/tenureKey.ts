import { type KeyObject, timingSafeEqual } from 'node:crypto';
import { apiKeyDigest, newApiKey } from '../../domain/apiKey.ts';
import { apiKeys } from '../../ledger/apiKeys.ts';
import type { Issuer } from './issuer.ts';
import { createLedgerIssuer, type LedgerIssuerPlace } from './ledgerIssuer.ts';

export interface TenureKeyOptions extends LedgerIssuerPlace {
  /** 32 bytes, outside PostgreSQL: whoever reads the table can neither use a key nor try guesses at one. */
  readonly hashKey: KeyObject;
  readonly prefix: string;
}

/**
 * API keys of our own. A key is known by its keyed hash alone, in a table of the ledger's database; `POST /v1/keys/verify`
 * says whose it is and whether it is active.
 */
export function createTenureKeyIssuer(name: string, { hashKey, prefix, ...place }: TenureKeyOptions): Issuer {
  return createLedgerIssuer(name, place, {
    type: 'tenure-key',
    lastUsed: true,
    rows: apiKeys,
    generateSecret: async () => newApiKey(prefix),
    keptOf: async ({ secret, scopes }) => ({ scopes, digest: apiKeyDigest(secret, hashKey) }),
    accepts: async ({ digest }, secret) => timingSafeEqual(digest, apiKeyDigest(secret, hashKey)),
  });
}
