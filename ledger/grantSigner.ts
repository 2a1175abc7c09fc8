import { Prisma } from '../prisma/generated/client.ts';
import { holds } from './freezeSubjects.ts';
import type { KeptSigningKey } from './signingKeys.ts';
import type { Statements } from './statements.ts';

/** How tenure.yaml names the identity that signs grants. */
export interface SignerName {
  readonly name: string;
  readonly environment: string;
}

/** The signer as the ledger has it now. */
export interface SignerStanding {
  readonly identityId: string;
  readonly isFrozen: boolean;
  /** The credential that its store serves; null before the first is served. */
  readonly handle: string | null;
}

/** The active identity of this name, and what its store serves: of what is not being destroyed, what was promoted last. */
export async function findSigner(
  table: Pick<Statements, '$queryRaw'>,
  { name, environment }: SignerName,
): Promise<SignerStanding | undefined> {
  const [row] = await table.$queryRaw<SignerStanding[]>`
    SELECT i."id" AS "identityId", EXISTS (SELECT FROM "freeze" f WHERE ${holds}) AS "isFrozen", (
      SELECT c."handle" FROM "credential" c JOIN "signing_key" k ON k."handle" = c."handle"
      WHERE c."identityId" = i."id" AND c."state" IN ('current', 'retiring') AND c."promotedEpoch" IS NOT NULL
      ORDER BY c."promotedEpoch" DESC LIMIT 1) AS "handle"
    FROM "identity" i WHERE i."name" = ${name} AND i."environment" = ${environment} AND i."state" = 'active'`;
  return row;
}

/** Published from before a key signs (`staged`) for as long as it may be accepted (`retiring`). */
export const isPublished = Prisma.sql`c."state" IN ('staged', 'current', 'retiring')`;

/** The public keys of the signer, the newest first. */
export async function listPublishedKeys(
  table: Pick<Statements, '$queryRaw'>,
  { name, environment }: SignerName,
): Promise<readonly KeptSigningKey[]> {
  return table.$queryRaw`
    SELECT k."kid", k."publicKey"
    FROM "identity" i
    JOIN "credential" c ON c."identityId" = i."id" AND ${isPublished}
    JOIN "signing_key" k ON k."handle" = c."handle"
    WHERE i."name" = ${name} AND i."environment" = ${environment} AND i."state" = 'active'
    ORDER BY c."version" DESC`;
}
