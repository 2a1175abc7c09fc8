import type { Transaction } from './client.ts';

/** One row of the sealed store's table: ciphertext and what it is bound to, never a value. */
export interface SealedRow {
  readonly identityId: string;
  readonly path: string;
  readonly version: number | null;
  readonly epoch: number | null;
  /** Null together: a tombstone. */
  readonly sealed: SealedBytes | null;
}

export interface SealedBytes {
  readonly keyId: string;
  readonly envelope: Uint8Array<ArrayBuffer>;
}

/** The client or a transaction. */
export type SealedTable = Pick<Transaction, 'sealedValue' | '$executeRaw' | '$queryRaw'>;

export const livePath = 'live';

export async function findSealed(
  table: SealedTable,
  { identityId, path }: { identityId: string; path: string },
): Promise<SealedRow | undefined> {
  const row = await table.sealedValue.findUnique({ where: { identityId_path: { identityId, path } } });
  return row === null ? undefined : rowOf(row);
}

/** Inserts a staged value if its path was never used. @returns false when something is there, a tombstone included */
export async function insertStaged(table: SealedTable, row: SealedRow & { sealed: SealedBytes }): Promise<boolean> {
  const { identityId, path, version, epoch, sealed } = row;
  const { count } = await table.sealedValue.createMany({
    data: [{ identityId, path, version, epoch, ...sealed }],
    skipDuplicates: true,
  });
  return count === 1;
}

/** Leaves a tombstone at a staged path, whatever was there: a value can neither be read nor inserted again. */
export async function discardStaged(
  table: SealedTable,
  { identityId, path, version }: { identityId: string; path: string; version: number },
): Promise<void> {
  await table.sealedValue.upsert({
    where: { identityId_path: { identityId, path } },
    create: { identityId, path, version },
    update: { keyId: null, envelope: null },
  });
}

/**
 * Writes the live path under its epoch, in one statement: the row lock, not the caller, decides between two writers. A
 * tombstone also takes the place of a value of its own epoch.
 * @returns false when the path carries this epoch or a higher one: nothing was written
 */
export async function writeLive(
  table: SealedTable,
  {
    identityId,
    version,
    epoch,
    sealed,
  }: { identityId: string; version: number | null; epoch: number; sealed: SealedBytes | null },
): Promise<boolean> {
  const count = await table.$executeRaw`
    INSERT INTO sealed_value AS live ("identityId", path, version, epoch, "keyId", envelope, "updatedAt")
    VALUES (${identityId}, ${livePath}, ${version}, ${epoch}, ${sealed?.keyId ?? null}, ${sealed?.envelope ?? null}, now())
    ON CONFLICT ("identityId", path) DO UPDATE
       SET version = EXCLUDED.version, epoch = EXCLUDED.epoch, "keyId" = EXCLUDED."keyId",
           envelope = EXCLUDED.envelope, "updatedAt" = EXCLUDED."updatedAt"
     WHERE live.epoch < EXCLUDED.epoch
        OR (live.epoch = EXCLUDED.epoch AND live.envelope IS NOT NULL AND EXCLUDED.envelope IS NULL)`;
  return count === 1;
}

/** Whose rows there are, in byte order of ids, after this id. Rows that only say that a staged value is gone do not count. */
export async function listSealedIdentities(
  table: SealedTable,
  { afterIdentityId, limit }: { afterIdentityId: string; limit: number },
): Promise<readonly string[]> {
  const rows = await table.$queryRaw<{ identityId: string }[]>`
    SELECT DISTINCT "identityId" COLLATE "C" AS "identityId" FROM "sealed_value"
    WHERE "identityId" COLLATE "C" > ${afterIdentityId} AND ("path" = ${livePath} OR "envelope" IS NOT NULL)
    ORDER BY 1 LIMIT ${limit}`;
  return rows.map(({ identityId }) => identityId);
}

/** What is said of one row without looking into it. */
export type SealedPlace = Omit<SealedRow, 'sealed' | 'identityId'> & { readonly isSealed: boolean };

export async function sealedPlacesOf(table: SealedTable, identityId: string): Promise<readonly SealedPlace[]> {
  return table.$queryRaw<SealedPlace[]>`
    SELECT "path", "version", "epoch", "envelope" IS NOT NULL AND "keyId" IS NOT NULL AS "isSealed"
    FROM "sealed_value" WHERE "identityId" = ${identityId}`;
}

/** Some values that are sealed under any of these keys. */
export async function findSealedUnder(
  table: SealedTable,
  keyIds: readonly string[],
  limit: number,
): Promise<SealedRow[]> {
  const rows = await table.sealedValue.findMany({
    where: { keyId: { in: [...keyIds] } },
    orderBy: [{ identityId: 'asc' }, { path: 'asc' }],
    take: limit,
  });
  return rows.map(rowOf);
}

/** Replaces an envelope if it is still the one that was read: a promote or discard in between wins. @returns 1 or 0 */
export async function replaceEnvelope(
  table: SealedTable,
  row: SealedRow & { sealed: SealedBytes },
  sealed: SealedBytes,
): Promise<number> {
  const { count } = await table.sealedValue.updateMany({
    where: { identityId: row.identityId, path: row.path, keyId: row.sealed.keyId, envelope: row.sealed.envelope },
    data: { ...sealed },
  });
  return count;
}

/** How many values are sealed under keys other than these, by key id. */
export async function countSealedOutside(
  table: SealedTable,
  keyIds: readonly string[],
): Promise<{ keyId: string; count: number }[]> {
  const groups = await table.sealedValue.groupBy({
    by: ['keyId'],
    where: { keyId: { notIn: [...keyIds] } },
    _count: true,
  });
  return groups.flatMap(({ keyId, _count }) => (keyId === null ? [] : [{ keyId, count: _count }]));
}

function rowOf({
  identityId,
  path,
  version,
  epoch,
  keyId,
  envelope,
}: {
  identityId: string;
  path: string;
  version: number | null;
  epoch: number | null;
  keyId: string | null;
  envelope: Uint8Array<ArrayBuffer> | null;
}): SealedRow {
  const sealed = keyId === null || envelope === null ? null : { keyId, envelope };
  return { identityId, path, version, epoch, sealed };
}
