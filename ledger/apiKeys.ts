import type { Transaction } from './client.ts';

/** What the issuer `tenure-key` keeps: one row for each key, with its keyed hash and never the key. */
export interface ApiKeyRow {
  readonly handle: string;
  readonly issuer: string;
  readonly installationId: string;
  readonly identityId: string;
  readonly version: number;
  readonly scopes: readonly string[];
  readonly digest: Uint8Array<ArrayBuffer>;
  readonly validUntil: Date;
}

/** Whose keys are meant: those of one issuer of one installation. */
export interface ApiKeyOwner {
  readonly issuer: string;
  readonly installationId: string;
}

/** The client or a transaction. */
export type ApiKeyTable = Pick<Transaction, 'apiKey' | '$executeRaw' | '$queryRaw'>;

/**
 * Inserts a key, in one statement, unless its handle is there or a later version of its identity is: versions only grow,
 * so that would be a late repetition.
 * @returns false when nothing was inserted
 */
export async function insertApiKey(table: ApiKeyTable, row: ApiKeyRow): Promise<boolean> {
  const { handle, issuer, installationId, identityId, version, scopes, digest, validUntil } = row;
  const count = await table.$executeRaw`
    INSERT INTO "api_key" ("handle", "issuer", "installationId", "identityId", "version", "scopes", "digest", "validUntil")
    SELECT ${handle}, ${issuer}, ${installationId}, ${identityId}, ${version}::int, ${[...scopes]}::text[], ${digest}, ${validUntil}
    WHERE NOT EXISTS (SELECT FROM "api_key" WHERE "identityId" = ${identityId} AND "version" > ${version}::int)
    ON CONFLICT ("handle") DO NOTHING`;
  return count === 1;
}

export async function findApiKey(
  table: ApiKeyTable,
  handle: string,
): Promise<(ApiKeyRow & { isAccepted: boolean }) | undefined> {
  const [row] = await table.$queryRaw<(ApiKeyRow & { isAccepted: boolean })[]>`
    SELECT "handle", "issuer", "installationId", "identityId", "version", "scopes", "digest", "validUntil",
           "validUntil" > clock_timestamp() AS "isAccepted"
    FROM "api_key" WHERE "handle" = ${handle}`;
  return row;
}

/** Moves a key's expiry. @returns false when the owner has no such key */
export async function setApiKeyExpiry(
  table: ApiKeyTable,
  { handle, issuer, installationId, validUntil }: ApiKeyOwner & { handle: string; validUntil: Date },
): Promise<boolean> {
  const { count } = await table.apiKey.updateMany({ where: { handle, issuer, installationId }, data: { validUntil } });
  return count === 1;
}

/** @returns false when the owner had no such key */
export async function deleteApiKey(
  table: ApiKeyTable,
  { handle, issuer, installationId }: ApiKeyOwner & { handle: string },
): Promise<boolean> {
  const { count } = await table.apiKey.deleteMany({ where: { handle, issuer, installationId } });
  return count === 1;
}

/** In byte order of handles. */
export async function listApiKeys(
  table: ApiKeyTable,
  { issuer, installationId, identityId }: ApiKeyOwner & { identityId: string | undefined },
): Promise<readonly Pick<ApiKeyRow, 'handle' | 'identityId' | 'validUntil'>[]> {
  return table.apiKey.findMany({
    where: { issuer, installationId, ...(identityId === undefined ? {} : { identityId }) },
    orderBy: { handle: 'asc' },
    select: { handle: true, identityId: true, validUntil: true },
  });
}

/** A page of an issuer's rows of all installations, in byte order of handles. */
export async function apiKeyInventory(
  table: ApiKeyTable,
  { issuer, after, limit }: { issuer: string; after: string; limit: number },
): Promise<readonly Pick<ApiKeyRow, 'handle' | 'identityId' | 'installationId' | 'validUntil'>[]> {
  return table.$queryRaw`
    SELECT "handle", "identityId", "installationId", "validUntil" FROM "api_key"
    WHERE "issuer" = ${issuer} AND "handle" COLLATE "C" > ${after}
    ORDER BY "handle" COLLATE "C" LIMIT ${limit}`;
}
