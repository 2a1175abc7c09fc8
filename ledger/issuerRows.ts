import { Prisma } from '../prisma/generated/client.ts';
import type { Transaction } from './client.ts';

/** What issuers of our own keep: one row for each credential, in a table for each type of issuer. Every call is one statement. */
export interface IssuerRow {
  readonly handle: string;
  readonly issuer: string;
  readonly installationId: string;
  readonly identityId: string;
  readonly version: number;
  readonly validUntil: Date;
}

/** Whose credentials are meant: those of one issuer of one installation. */
export type RowOwner = Pick<IssuerRow, 'issuer' | 'installationId'>;

/** The client or a transaction. */
export type RowClient = Pick<Transaction, '$executeRaw' | '$queryRaw'>;

/** @typeParam Kept the table's own columns: what is kept of a secret */
export interface IssuerRows<Kept> {
  /**
   * Inserts a row, unless its handle is there or a later version of its identity is: versions only grow, so that would be
   * a late repetition. @returns false when nothing was inserted
   */
  insert(client: RowClient, row: IssuerRow & Kept): Promise<boolean>;
  find(client: RowClient, handle: string): Promise<(IssuerRow & Kept & { isAccepted: boolean }) | undefined>;
  /** @returns false when the owner has no such row */
  setExpiry(client: RowClient, row: RowOwner & Pick<IssuerRow, 'handle' | 'validUntil'>): Promise<boolean>;
  /** @returns false when the owner had no such row */
  remove(client: RowClient, row: RowOwner & Pick<IssuerRow, 'handle'>): Promise<boolean>;
  /** In byte order of handles. @param identityId all of the owner's, when undefined */
  list(client: RowClient, of: RowOwner & { identityId: string | undefined }): Promise<readonly ListedRow[]>;
  /** A page of an issuer's rows of all installations, in byte order of handles. */
  inventory(
    client: RowClient,
    page: { issuer: string; after: string; limit: number },
  ): Promise<readonly (ListedRow & Pick<IssuerRow, 'installationId'>)[]>;
}

type ListedRow = Pick<IssuerRow, 'handle' | 'identityId' | 'validUntil'>;

/** @param kept the table's own columns, each with how its value is written */
export function issuerRows<Kept extends object>(
  tableName: 'api_key' | 'agent_key' | 'signing_key',
  kept: { readonly [Column in keyof Kept & string]: (value: Kept[Column]) => Prisma.Sql },
): IssuerRows<Kept> {
  const table = Prisma.raw(`"${tableName}"`);
  const ownColumns = Object.keys(kept) as (keyof Kept & string)[];
  const columns = Prisma.raw(
    ['handle', 'issuer', 'installationId', 'identityId', 'version', 'validUntil', ...ownColumns]
      .map((column) => `"${column}"`)
      .join(', '),
  );
  return {
    async insert(client, row) {
      const { handle, issuer, installationId, identityId, version, validUntil } = row;
      const own = ownColumns.map((column) => kept[column](row[column]));
      const count = await client.$executeRaw`
        INSERT INTO ${table} (${columns})
        SELECT ${handle}, ${issuer}, ${installationId}, ${identityId}, ${version}::int, ${validUntil}, ${Prisma.join(own)}
        WHERE NOT EXISTS (SELECT FROM ${table} WHERE "identityId" = ${identityId} AND "version" > ${version}::int)
        ON CONFLICT ("handle") DO NOTHING`;
      return count === 1;
    },
    async find(client, handle) {
      const [row] = await client.$queryRaw<(IssuerRow & Kept & { isAccepted: boolean })[]>`
        SELECT ${columns}, "validUntil" > clock_timestamp() AS "isAccepted" FROM ${table} WHERE "handle" = ${handle}`;
      return row;
    },
    async setExpiry(client, { handle, issuer, installationId, validUntil }) {
      const count = await client.$executeRaw`
        UPDATE ${table} SET "validUntil" = ${validUntil}
        WHERE "handle" = ${handle} AND "issuer" = ${issuer} AND "installationId" = ${installationId}`;
      return count === 1;
    },
    async remove(client, { handle, issuer, installationId }) {
      const count = await client.$executeRaw`
        DELETE FROM ${table}
        WHERE "handle" = ${handle} AND "issuer" = ${issuer} AND "installationId" = ${installationId}`;
      return count === 1;
    },
    list: (client, { issuer, installationId, identityId }) => client.$queryRaw`
      SELECT "handle", "identityId", "validUntil" FROM ${table}
      WHERE "issuer" = ${issuer} AND "installationId" = ${installationId}
        AND (${identityId ?? null}::text IS NULL OR "identityId" = ${identityId ?? null})
      ORDER BY "handle" COLLATE "C"`,
    inventory: (client, { issuer, after, limit }) => client.$queryRaw`
      SELECT "handle", "identityId", "installationId", "validUntil" FROM ${table}
      WHERE "issuer" = ${issuer} AND "handle" COLLATE "C" > ${after}
      ORDER BY "handle" COLLATE "C" LIMIT ${limit}`,
  };
}
