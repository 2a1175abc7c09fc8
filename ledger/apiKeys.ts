import { Prisma } from '../prisma/generated/client.ts';
import { issuerRows } from './issuerRows.ts';

/** What is kept of an API key: never the key. */
export interface KeptApiKey {
  readonly scopes: readonly string[];
  readonly digest: Uint8Array<ArrayBuffer>;
}

/** What the issuer `tenure-key` keeps. */
export const apiKeys = issuerRows<KeptApiKey>('api_key', {
  scopes: (scopes) => Prisma.sql`${[...scopes]}::text[]`,
  digest: (digest) => Prisma.sql`${digest}`,
});
