import type { KnownIdentity } from '../domain/reconciliation.ts';
import type { CredentialState, IdentityState } from '../domain/states.ts';
import type { Statements } from './statements.ts';

type Reads = Pick<Statements, '$queryRaw'>;

/** These identities as reconciliation compares them, by id; one that the ledger does not know is not in the map. */
export async function knownIdentities(
  ledger: Reads,
  ids: readonly string[],
): Promise<ReadonlyMap<string, KnownIdentity>> {
  const rows = await ledger.$queryRaw<KnownRow[]>`
    SELECT i."id", i."state", i."epoch", i."store",
      EXISTS (SELECT 1 FROM "request" r WHERE r."identityId" = i."id" AND (r."finishedAt" IS NULL OR r."owesDestroys")) AS "isMoving",
      (SELECT coalesce(json_agg(json_build_object('version', c."version", 'state', c."state", 'promotedEpoch', c."promotedEpoch")
         ORDER BY c."version"), '[]') FROM "credential" c WHERE c."identityId" = i."id") AS "credentials"
    FROM "identity" i WHERE i."id" = ANY(${[...ids]}::text[])`;
  return new Map(
    rows.map(({ credentials, ...identity }) => [
      identity.id,
      {
        ...identity,
        credentials: credentials.map(({ promotedEpoch, ...credential }) => ({
          ...credential,
          promotedEpoch: promotedEpoch ?? undefined,
        })),
      },
    ]),
  );
}

interface KnownRow extends Omit<KnownIdentity, 'credentials'> {
  readonly state: IdentityState;
  readonly credentials: { version: number; state: CredentialState; promotedEpoch: number | null }[];
}

export interface IdentityPage {
  readonly name: string;
  readonly afterIdentityId: string;
  readonly limit: number;
}

/** Identities of which this issuer must have a credential, in byte order of ids. */
export async function identitiesAtIssuer(
  ledger: Reads,
  { name, afterIdentityId, limit }: IdentityPage,
): Promise<readonly string[]> {
  const rows = await ledger.$queryRaw<{ id: string }[]>`
    SELECT i."id" FROM "identity" i
    WHERE i."issuer" = ${name} AND i."id" COLLATE "C" > ${afterIdentityId} AND EXISTS (
      SELECT 1 FROM "credential" c WHERE c."identityId" = i."id" AND c."state" IN ('current', 'retiring'))
    ORDER BY i."id" COLLATE "C" LIMIT ${limit}`;
  return rows.map(({ id }) => id);
}

/** Identities of which this store must have a value or a tombstone, in byte order of ids. */
export async function identitiesInStore(
  ledger: Reads,
  { name, afterIdentityId, limit }: IdentityPage,
): Promise<readonly string[]> {
  const rows = await ledger.$queryRaw<{ id: string }[]>`
    SELECT "id" FROM "identity"
    WHERE "store" = ${name} AND "id" COLLATE "C" > ${afterIdentityId} AND "state" IN ('active', 'revoked')
    ORDER BY "id" COLLATE "C" LIMIT ${limit}`;
  return rows.map(({ id }) => id);
}
