import { type Extent, extentOf, type FreezeSelector } from '../../domain/freezeSelector.ts';
import type { Freeze } from '../../prisma/generated/client.ts';
import type { Transaction } from '../client.ts';
import { asFreeze, isFrozenSubject, isLive, isSubject, isUsable, selects } from '../freezeSubjects.ts';
import { type Page, type PageAsked, pageOf, pageQuery } from './page.ts';

/** Newest first; `isOpen` keeps only those in force, or only those lifted. */
export async function listFreezes(
  ledger: Transaction,
  { isOpen }: { isOpen?: boolean },
  asked: PageAsked,
): Promise<Page<Freeze>> {
  const { where, ...order } = pageQuery(asked);
  const state = isOpen === undefined ? {} : { liftedAt: isOpen ? null : { not: null } };
  return pageOf(await ledger.freeze.findMany({ ...order, where: { AND: [state, where ?? {}] } }), asked.limit);
}

export interface UsableCredential {
  readonly identityId: string;
  readonly identityName: string;
  readonly version: number;
  readonly state: string;
  readonly expiresAt: Date | null;
}

/** What a freeze does right now, counted live. */
export interface FreezeCounts {
  /** Live identities that it is about, thawed ones included. */
  readonly subjects: number;
  /** Active ones that no review has let go: what is missing before it can be lifted without an override. */
  readonly unreviewed: number;
  /** Identities that a review let go. */
  readonly thawed: number;
  /** Open requests that it holds. */
  readonly held: number;
  /** Requests whose begin or commit it refused, ever. */
  readonly refused: number;
  /** Requests that it cancelled. */
  readonly cancelled: number;
  /** Credentials that a freeze does not take away. */
  readonly usable: number;
}

export interface FreezeSituation extends Freeze {
  readonly counts: FreezeCounts;
  /** Credentials issued before it. The 200 that live longest. */
  readonly stillUsable: readonly UsableCredential[];
}

const shownCredentials = 200;

export async function findFreeze(ledger: Transaction, id: string): Promise<FreezeSituation | undefined> {
  const freeze = await ledger.freeze.findUnique({ where: { id } });
  if (freeze === null) return undefined;
  const [counts, stillUsable] = await Promise.all([countsOf(ledger, freeze), usableUnder(ledger, id)]);
  return { ...freeze, counts, stillUsable };
}

/** Whether this freeze is there already: a retried POST asks for no confirmation again. */
export async function freezeExists(ledger: Transaction, id: string): Promise<boolean> {
  return (await ledger.freeze.count({ where: { id } })) > 0;
}

async function countsOf(ledger: Transaction, { id, liftedAt }: Freeze): Promise<FreezeCounts> {
  const isInForce = liftedAt === null;
  const [row] = await ledger.$queryRaw<Record<keyof FreezeCounts, bigint>[]>`
    WITH "frozen" AS (
      SELECT i."id", i."state", ${isFrozenSubject} AS "isHeld"
      FROM "freeze" f JOIN "identity" i ON ${isSubject} WHERE f."id" = ${id})
    SELECT
      (SELECT count(*) FROM "frozen" i WHERE ${isLive}) AS "subjects",
      (SELECT count(*) FROM "frozen" i WHERE i."state" = 'active' AND i."isHeld") AS "unreviewed",
      (SELECT count(*) FROM "freeze_subject" WHERE "freezeId" = ${id} AND "thawedAt" IS NOT NULL) AS "thawed",
      (SELECT count(*) FROM "frozen" i JOIN "request" r ON r."identityId" = i."id"
        WHERE ${isInForce} AND i."isHeld" AND r."finishedAt" IS NULL AND r."state" = 'held') AS "held",
      (SELECT count(DISTINCT "requestId") FROM "freeze_stop" WHERE "freezeId" = ${id} AND "what" <> 'cancel') AS "refused",
      (SELECT count(*) FROM "freeze_stop" WHERE "freezeId" = ${id} AND "what" = 'cancel') AS "cancelled",
      (SELECT count(*) FROM "frozen" i JOIN "credential" c ON c."identityId" = i."id"
        WHERE ${isUsable}) AS "usable"`;
  const count = (name: keyof FreezeCounts) => Number(row?.[name] ?? 0);
  return {
    subjects: count('subjects'),
    unreviewed: count('unreviewed'),
    thawed: count('thawed'),
    held: count('held'),
    refused: count('refused'),
    cancelled: count('cancelled'),
    usable: count('usable'),
  };
}

async function usableUnder(ledger: Transaction, freezeId: string): Promise<readonly UsableCredential[]> {
  return ledger.$queryRaw<UsableCredential[]>`
    SELECT c."identityId", i."name" AS "identityName", c."version", c."state", c."expiresAt"
    FROM "freeze" f JOIN "identity" i ON ${isSubject} JOIN "credential" c ON c."identityId" = i."id"
    WHERE f."id" = ${freezeId} AND ${isUsable}
    ORDER BY c."expiresAt" DESC NULLS LAST, c."handle" LIMIT ${shownCredentials}`;
}

export interface UnreviewedSubject {
  readonly identityId: string;
  readonly name: string;
  readonly ownerId: string;
}

const sampleSize = 20;

/**
 * The active subjects that no review has let go. A requested identity is not among them: nothing of it is issued yet, and
 * its onboarding's own checks are still ahead.
 */
export async function unreviewedSubjects(
  ledger: Transaction,
  freezeId: string,
): Promise<{ readonly count: number; readonly sample: readonly UnreviewedSubject[] }> {
  const rows = await ledger.$queryRaw<(UnreviewedSubject & { total: bigint })[]>`
    SELECT i."id" AS "identityId", i."name", i."ownerId", count(*) OVER () AS "total"
    FROM "freeze" f JOIN "identity" i ON ${isFrozenSubject}
    WHERE f."id" = ${freezeId} AND i."state" = 'active' ORDER BY i."id" LIMIT ${sampleSize}`;
  const sample = rows.map(({ identityId, name, ownerId }) => ({ identityId, name, ownerId }));
  return { count: Number(rows[0]?.total ?? 0), sample };
}

export interface MatchingIdentity extends UnreviewedSubject {
  readonly state: string;
  readonly environment: string;
  readonly integration: string;
}

/** What a freeze of this selector would be about, were it opened now. */
export interface SelectorPreview {
  readonly extent: Extent;
  readonly matching: number;
  readonly live: number;
  readonly openRequests: number;
  readonly usableCredentials: number;
  readonly sample: readonly MatchingIdentity[];
}

export async function previewSelector(ledger: Transaction, selector: FreezeSelector): Promise<SelectorPreview> {
  const freeze = asFreeze(selector);
  const [rows, sample] = await Promise.all([
    ledger.$queryRaw<Record<'matching' | 'live' | 'openRequests' | 'usableCredentials', bigint>[]>`
      WITH "matching" AS MATERIALIZED (SELECT i."id" FROM ${freeze} JOIN "identity" i ON ${isLive} AND ${selects})
      SELECT
        (SELECT count(*) FROM "matching") AS "matching",
        (SELECT count(*) FROM "identity" i WHERE ${isLive}) AS "live",
        (SELECT count(*) FROM "matching" m JOIN "request" r ON r."identityId" = m."id"
          WHERE r."finishedAt" IS NULL AND r."kind" NOT IN ('revocation', 'review')) AS "openRequests",
        (SELECT count(*) FROM "matching" m JOIN "credential" c ON c."identityId" = m."id"
          WHERE ${isUsable}) AS "usableCredentials"`,
    ledger.$queryRaw<MatchingIdentity[]>`
      SELECT i."id" AS "identityId", i."name", i."ownerId", i."state", i."environment", i."integration"
      FROM ${freeze} JOIN "identity" i ON ${isLive} AND ${selects} ORDER BY i."id" LIMIT ${sampleSize}`,
  ]);
  const count = (name: 'matching' | 'live' | 'openRequests' | 'usableCredentials') => Number(rows[0]?.[name] ?? 0);
  const [matching, live] = [count('matching'), count('live')];
  return {
    extent: extentOf({ matching, live }),
    matching,
    live,
    openRequests: count('openRequests'),
    usableCredentials: count('usableCredentials'),
    sample,
  };
}

/** The extent alone, before a freeze: stops looking as soon as it is known. */
export async function extentOfSelector(ledger: Transaction, selector: FreezeSelector): Promise<Extent> {
  const freeze = asFreeze(selector);
  const [row] = await ledger.$queryRaw<{ matching: bigint; others: bigint }[]>`
    SELECT
      (SELECT count(*) FROM (
        SELECT FROM ${freeze} JOIN "identity" i ON ${isLive} AND ${selects} LIMIT 2) AS "first") AS "matching",
      (SELECT count(*) FROM (
        SELECT FROM ${freeze} JOIN "identity" i ON ${isLive} AND NOT ${selects} LIMIT 1) AS "first") AS "others"`;
  const matching = Number(row?.matching ?? 0);
  return extentOf({ matching, live: matching + Number(row?.others ?? 0) });
}
