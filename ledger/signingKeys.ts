import { Prisma } from '../prisma/generated/client.ts';
import { issuerRows } from './issuerRows.ts';

/** What is kept of a signing key: its public half. */
export interface KeptSigningKey {
  /** RFC 7638 thumbprint. */
  readonly kid: string;
  readonly publicKey: PublicSigningKey;
}

/** RFC 7518 §6.2.1, §6.3.1: the coordinates on P-256; modulus and exponent. */
export type PublicSigningKey =
  | { readonly kty: 'EC'; readonly crv: 'P-256'; readonly x: string; readonly y: string }
  | { readonly kty: 'RSA'; readonly n: string; readonly e: string };

/** What keys of each type sign with, and nothing else. */
export const signingAlgorithms = { EC: 'ES256', RSA: 'RS256' } as const satisfies Record<
  PublicSigningKey['kty'],
  string
>;
export type SigningAlgorithm = (typeof signingAlgorithms)[PublicSigningKey['kty']];

/** What the issuer `signing-key` keeps. */
export const signingKeys = issuerRows<KeptSigningKey>('signing_key', {
  kid: (kid) => Prisma.sql`${kid}`,
  publicKey: (publicKey) => Prisma.sql`${JSON.stringify(publicKey)}::jsonb`,
});
