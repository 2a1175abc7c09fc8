import type { FreezeSelector } from '../domain/freezeSelector.ts';
import { type Freeze, Prisma } from '../prisma/generated/client.ts';
import { isAmong } from './people.ts';
import type { Statements } from './statements.ts';

/**
 * Which identities a freeze is about: one predicate, for `begin` and `commit`, for nudges, counts, pages and previews
 * alike. Every fragment speaks of a freeze `f` and an identity `i`.
 */

/** `f` selects `i` by what it is now. Flow versions are asked last, and only where the freeze names any. */
export const selects = Prisma.sql`(
  i."id" = ANY(f."identityIds")
  OR i."integration" = ANY(f."integrations")
  OR (cardinality(f."ownerIds") > 0 AND ${isAmong(Prisma.sql`i."ownerId"`, Prisma.sql`f."ownerIds"`)})
  OR i."issuer" = ANY(f."issuers")
  OR i."store" = ANY(f."stores")
  OR i."environment" = ANY(f."environments")
  OR (i."kind" = 'connector' AND i."id" = ANY(f."connectorIds"))
  OR (cardinality(f."labels") > 0 AND EXISTS (
    SELECT FROM jsonb_each_text(i."labels") AS l("key", "value") WHERE l."key" || '=' || l."value" = ANY(f."labels")))
  OR (cardinality(f."flowDigests") > 0 AND (
    EXISTS (
      SELECT FROM "request" r
      WHERE r."identityId" = i."id" AND r."finishedAt" IS NULL AND r."flowDigest" = ANY(f."flowDigests"))
    OR EXISTS (
      SELECT FROM "credential" c JOIN "request" r ON r."id" = c."requestId"
      WHERE c."identityId" = i."id" AND c."state" <> 'destroyed' AND r."flowDigest" = ANY(f."flowDigests")))))`;

/** A subject by what it is, or by what it was while the freeze was in force. */
export const isSubject = Prisma.sql`(${selects} OR EXISTS (
  SELECT FROM "freeze_subject" s WHERE s."freezeId" = f."id" AND s."identityId" = i."id" AND s."keptAt" IS NOT NULL))`;

const isThawed = Prisma.sql`EXISTS (
  SELECT FROM "freeze_subject" s WHERE s."freezeId" = f."id" AND s."identityId" = i."id" AND s."thawedAt" IS NOT NULL)`;

/** A subject that no review has let go. */
export const isFrozenSubject = Prisma.sql`(${isSubject} AND NOT ${isThawed})`;

/** When `f` let `i` go: by a review, or as it was lifted; null while it holds. */
export const endedAt = Prisma.sql`LEAST(f."liftedAt", (
  SELECT s."thawedAt" FROM "freeze_subject" s WHERE s."freezeId" = f."id" AND s."identityId" = i."id"))`;

/** The freeze holds this identity's issuance now. */
export const holds = Prisma.sql`(f."liftedAt" IS NULL AND ${isFrozenSubject})`;

/** Identities that may be issued to: what counts as matching, and as everything. */
export const isLive = Prisma.sql`i."state" IN ('requested', 'active')`;

/** A credential `c` that somebody could still log in with, as far as is known. */
export const isUsable = Prisma.sql`(
  (c."state" IN ('current', 'retiring')
    OR (c."state" = 'destroying' AND (c."receipt" IS NULL OR c."receipt" ->> 'method' = 'unverifiable')))
  AND (c."expiresAt" IS NULL OR c."expiresAt" > clock_timestamp()))`;

/** A selector that is no freeze yet, in the place of `"freeze" f`. It has no rows of its own: use `selects` with it. */
export function asFreeze(selector: FreezeSelector): Prisma.Sql {
  const list = (names: readonly string[]) => Prisma.sql`${[...names]}::text[]`;
  return Prisma.sql`(SELECT
    ${list(selector.identityIds)} AS "identityIds", ${list(selector.integrations)} AS "integrations",
    ${list(selector.ownerIds)} AS "ownerIds", ${list(selector.issuers)} AS "issuers", ${list(selector.stores)} AS "stores",
    ${list(selector.environments)} AS "environments", ${list(selector.connectorIds)} AS "connectorIds",
    ${list(selector.flowDigests)} AS "flowDigests", ${list(selector.labels)} AS "labels") f`;
}

/** The freezes that hold these identities now, oldest first, by identity. */
export async function freezesOn(
  tx: Statements,
  identityIds: readonly string[],
): Promise<ReadonlyMap<string, readonly Freeze[]>> {
  if (identityIds.length === 0) return new Map();
  const rows = await tx.$queryRaw<(Freeze & { identityId: string })[]>`
    SELECT f.*, i."id" AS "identityId" FROM "freeze" f JOIN "identity" i ON ${holds}
    WHERE i."id" = ANY(${[...identityIds]}::text[]) ORDER BY f."createdAt", f."id"`;
  return Map.groupBy(rows, ({ identityId }) => identityId);
}

/** The ids of those that hold one identity now, oldest first. */
export async function freezeIdsOn(tx: Statements, identityId: string): Promise<readonly string[]> {
  const rows = await tx.$queryRaw<{ id: string }[]>`
    SELECT f."id" FROM "freeze" f JOIN "identity" i ON i."id" = ${identityId} WHERE ${holds} ORDER BY f."createdAt", f."id"`;
  return rows.map(({ id }) => id);
}

/**
 * Effect: relabelling does not escape. Of the freezes that held the identity before a change, those that select it no more
 * keep it as a subject until a review lets it go. Call it in the transaction of the change, after it, under the lock of
 * the identity. Idempotent.
 * @returns the freezes that keep it from now on
 */
export async function keepAsSubject(
  tx: Statements,
  { identityId, heldBefore, at }: { identityId: string; heldBefore: readonly string[]; at: Date },
): Promise<readonly string[]> {
  if (heldBefore.length === 0) return [];
  const kept = await tx.$queryRaw<{ freezeId: string }[]>`
    INSERT INTO "freeze_subject" ("freezeId", "identityId", "keptAt")
    SELECT f."id", i."id", ${at} FROM "freeze" f JOIN "identity" i ON i."id" = ${identityId}
    WHERE f."id" = ANY(${[...heldBefore]}::text[]) AND ${isLive} AND NOT ${selects} AND NOT ${isThawed}
    ON CONFLICT DO NOTHING RETURNING "freezeId"`;
  return kept.map(({ freezeId }) => freezeId);
}
