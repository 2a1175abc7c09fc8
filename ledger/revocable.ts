import { Prisma } from '../prisma/generated/client.ts';
import type { Statements } from './statements.ts';

/**
 * Something of identity `i` may be left to revoke: it has not come to its end, or it was rejected and owes a destroy still,
 * since whatever was being made for it exists until the issuer has confirmed that it does not.
 */
export const isRevocable = Prisma.sql`(i."state" IN ('requested', 'active', 'revoking') OR (i."state" = 'rejected' AND EXISTS (
  SELECT FROM "credential" c WHERE c."identityId" = i."id" AND c."state" <> 'destroyed')))`;

/** Asked under the lock of the identity, it stays so until the transaction ends. */
export async function mayBeRevoked(tx: Statements, identityId: string): Promise<boolean> {
  const rows = await tx.$queryRaw<unknown[]>`SELECT FROM "identity" i WHERE i."id" = ${identityId} AND ${isRevocable}`;
  return rows.length > 0;
}
