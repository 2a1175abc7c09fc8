import { Prisma } from '../prisma/generated/client.ts';
import type { Statements } from './statements.ts';

/**
 * Who an id stands for now: people who were merged are one person under every one of their ids, and nothing that names
 * them is rewritten. Each comparison and count asks here, in its own transaction.
 */

/** The one id of whoever `id` names; of who is not in the directory (pipelines, agents), `id` itself. */
export const onePerson = (id: Prisma.Sql) =>
  Prisma.sql`coalesce((SELECT "aliasOf" FROM "person" WHERE "id" = ${id}), ${id})`;

/** Whether two ids name one person. */
export const isSamePerson = (id: Prisma.Sql, other: Prisma.Sql) =>
  Prisma.sql`(${id} = ${other} OR ${onePerson(id)} = ${onePerson(other)})`;

/** Whether `id` is among `ids`, a text[], or names the same person as one of them. */
export const isAmong = (id: Prisma.Sql, ids: Prisma.Sql) => Prisma.sql`(${id} = ANY(${ids}) OR EXISTS (
  SELECT FROM "person" one JOIN "person" other ON coalesce(other."aliasOf", other."id") = coalesce(one."aliasOf", one."id")
  WHERE one."id" = ${id} AND other."id" = ANY(${ids})))`;

/** All rows `s` of the person `p`, who is no alias. */
const rowsOf = Prisma.sql`(s."id" = p."id" OR s."aliasOf" = p."id")`;

/** Whether the person `p`, who is no alias, is active under every id. */
export const isActive = Prisma.sql`(SELECT bool_and(s."active") FROM "person" s WHERE ${rowsOf})`;

/** The groups that tenure.yaml lists of the person `p`, who is no alias. */
export const listedGroups = Prisma.sql`(
  SELECT coalesce(array_agg(DISTINCT g."name" ORDER BY g."name"), '{}') FROM "person" s
  CROSS JOIN LATERAL unnest(s."listedGroups") AS g("name") WHERE ${rowsOf})`;

/**
 * The groups of the person `p`, who is no alias, by every source that counts now: tenure.yaml, each account that is
 * vouched for, until what its provider said lapses, and what an earlier release recorded.
 */
export const groupsNow = Prisma.sql`(
  SELECT coalesce(array_agg(DISTINCT g."name" ORDER BY g."name"), '{}') FROM "person" s CROSS JOIN LATERAL (
    SELECT unnest(s."listedGroups") AS "name"
    UNION ALL SELECT unnest(s."groups") WHERE s."earlierGroupsUntil" > clock_timestamp()
    UNION ALL SELECT unnest(a."groups") FROM "person_account" a
      WHERE a."personId" = s."id" AND a."isVouched" AND a."groupsUntil" > clock_timestamp()) AS g
  WHERE ${rowsOf})`;

/** A person as the directory knows them at this moment. */
export interface PersonNow {
  /** The id that was asked for; it may be an alias. */
  readonly as: string;
  readonly id: string;
  readonly name: string;
  readonly active: boolean;
  readonly groups: readonly string[];
}

/** The people whom `ids`, a text[], names, each once for each id that names them (`PersonNow`). */
export const peopleNow = (ids: Prisma.Sql) => Prisma.sql`(
  SELECT named."id" AS "as", p."id", p."name", ${isActive} AS "active", ${groupsNow} AS "groups"
  FROM "person" named JOIN "person" p ON p."id" = coalesce(named."aliasOf", named."id") WHERE named."id" = ANY(${ids}))`;

/** Those whom these ids name; who is not in the directory is left out. */
export async function findPeople(tx: Pick<Statements, '$queryRaw'>, ids: readonly string[]): Promise<PersonNow[]> {
  if (ids.length === 0) return [];
  return tx.$queryRaw<PersonNow[]>`SELECT * FROM ${peopleNow(Prisma.sql`${[...new Set(ids)]}::text[]`)} AS "known"`;
}

/** Whom an id names, of those who were looked up; who is not in the directory is not active. */
export function personOf(
  people: readonly PersonNow[],
  id: string,
): { id: string; active: boolean; groups: readonly string[] } {
  const known = people.find((candidate) => candidate.as === id);
  return known === undefined
    ? { id, active: false, groups: [] }
    : { id: known.id, active: known.active, groups: known.groups };
}

/**
 * Which of `ids` names the same person as `id` does, or is `id` itself; undefined when none does. What is kept of them is that
 * one, so that it is found again among them.
 */
export async function idAmong(
  tx: Pick<Statements, '$queryRaw'>,
  id: string,
  ids: readonly string[],
): Promise<string | undefined> {
  if (ids.includes(id)) return id;
  const [row] = await tx.$queryRaw<{ id: string }[]>`
    SELECT other."id" FROM "person" one JOIN "person" other ON coalesce(other."aliasOf", other."id") = coalesce(one."aliasOf", one."id")
    WHERE one."id" = ${id} AND other."id" = ANY(${[...ids]}::text[]) ORDER BY other."id" LIMIT 1`;
  return row?.id;
}

/** The same of one; undefined when it is nobody of the directory. */
export async function findPersonNow(tx: Pick<Statements, '$queryRaw'>, id: string): Promise<PersonNow | undefined> {
  return (await findPeople(tx, [id]))[0];
}

/** All ids of those people, aliases too; of who is not in the directory, that one. */
export async function idsOfSame(tx: Pick<Statements, '$queryRaw'>, ids: readonly string[]): Promise<string[]> {
  const rows = await tx.$queryRaw<{ id: string }[]>`
    SELECT other."id" FROM "person" one JOIN "person" other ON coalesce(other."aliasOf", other."id") = coalesce(one."aliasOf", one."id")
    WHERE one."id" = ANY(${[...ids]}::text[])`;
  return [...new Set([...ids, ...rows.map(({ id }) => id)])];
}

/** The ids of everybody, none an alias, who has the address now or had it once. */
export async function peopleAt(tx: Pick<Statements, '$queryRaw'>, address: string): Promise<readonly string[]> {
  const rows = await tx.$queryRaw<{ id: string }[]>`
    SELECT DISTINCT coalesce(p."aliasOf", p."id") AS "id" FROM "person" p
    WHERE p."id" = ${address} OR p."id" IN (SELECT "personId" FROM "person_address" WHERE "address" = ${address})
    ORDER BY 1`;
  return rows.map(({ id }) => id);
}
