import { Prisma } from '../../prisma/generated/client.ts';
import { groupsNow, isActive, peopleAt } from '../people.ts';
import type { Statements } from '../statements.ts';

/** A person as administrators and auditors see them. */
export interface PersonRow {
  readonly id: string;
  readonly name: string;
  readonly active: boolean;
  readonly groups: readonly string[];
  /** Other ids of the same person. */
  readonly aliases: readonly string[];
  readonly addresses: readonly string[];
  readonly accounts: readonly {
    readonly issuer: string;
    readonly subject: string;
    readonly isVouched: boolean;
    readonly groups: readonly string[];
    /** RFC 3339, by PostgreSQL. */
    readonly groupsUntil: string | null;
  }[];
  readonly proposals: readonly {
    readonly issuer: string;
    readonly subject: string;
    readonly proposedBy: string;
    readonly reason: string;
    readonly proposedAt: string;
  }[];
}

export interface PeopleFilter {
  /** Part of the name. */
  readonly name?: string;
  readonly address?: string;
  /** That one alone; an alias finds whose it is. */
  readonly id?: string;
}

/** By id; aliases are told with the person that they are of. */
export async function listPeople(
  tx: Pick<Statements, '$queryRaw'>,
  { name, address, id }: PeopleFilter,
  { limit, after = '' }: { readonly limit: number; readonly after?: string | undefined },
): Promise<readonly PersonRow[]> {
  const at = address === undefined ? undefined : [...(await peopleAt(tx, address))];
  const wanted = [
    Prisma.sql`p."aliasOf" IS NULL AND p."id" > ${after}`,
    ...(name === undefined ? [] : [Prisma.sql`strpos(lower(p."name"), lower(${name})) > 0`]),
    ...(at === undefined ? [] : [Prisma.sql`p."id" = ANY(${at}::text[])`]),
    ...(id === undefined
      ? []
      : [Prisma.sql`p."id" = coalesce((SELECT "aliasOf" FROM "person" WHERE "id" = ${id}), ${id})`]),
  ];
  const ofPerson = Prisma.sql`(s."id" = p."id" OR s."aliasOf" = p."id")`;
  return tx.$queryRaw<PersonRow[]>`
    SELECT p."id", p."name", ${isActive} AS "active", ${groupsNow} AS "groups",
      ARRAY(SELECT s."id" FROM "person" s WHERE s."aliasOf" = p."id" ORDER BY 1) AS "aliases",
      ARRAY(SELECT DISTINCT d."address" FROM "person_address" d JOIN "person" s ON s."id" = d."personId"
        WHERE ${ofPerson} ORDER BY 1) AS "addresses",
      (SELECT coalesce(json_agg(json_build_object('issuer', a."issuer", 'subject', a."subject", 'isVouched', a."isVouched",
          'groups', a."groups", 'groupsUntil', a."groupsUntil") ORDER BY a."issuer", a."subject"), '[]')
        FROM "person_account" a JOIN "person" s ON s."id" = a."personId" WHERE ${ofPerson}) AS "accounts",
      (SELECT coalesce(json_agg(json_build_object('issuer', l."issuer", 'subject', l."subject", 'proposedBy', l."proposedBy",
          'reason', l."reason", 'proposedAt', l."proposedAt") ORDER BY l."proposedAt"), '[]')
        FROM "account_link" l JOIN "person" s ON s."id" = l."personId" WHERE ${ofPerson} AND l."confirmedAt" IS NULL) AS "proposals"
    FROM "person" p WHERE ${Prisma.join(wanted, ' AND ')} ORDER BY p."id" LIMIT ${limit}::int`;
}
