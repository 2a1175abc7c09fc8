import type { MassRevocationReport } from '../../domain/massRevocation.ts';
import type { MassRevocation } from '../../prisma/generated/client.ts';
import type { Transaction } from '../client.ts';
import { itsCredentials } from '../massRevocationClose.ts';
import { isStuck } from '../massRevocationSubjects.ts';
import { type Page, type PageAsked, pageOf, pageQuery } from './page.ts';

/** How far a mass revocation is, by issuer: every subject is in one of the first five. */
export interface IssuerProgress {
  readonly issuer: string;
  readonly waiting: number;
  /** Begun, and not stuck. */
  readonly underWay: number;
  readonly revoked: number;
  readonly stuck: number;
  readonly letGo: number;
}

export interface StuckSubject {
  readonly identityId: string;
  readonly name: string;
  readonly issuer: string;
  /** Null when not even its revocation could be opened. */
  readonly requestId: string | null;
  readonly begunAt: Date;
  /** Why the last attempt failed; the first of several steps that fail. */
  readonly error: string;
}

export interface MassRevocationSituation extends Omit<MassRevocation, 'report'> {
  readonly issuers: readonly IssuerProgress[];
  readonly report: MassRevocationReport | null;
}

/** Those of a freeze, newest first, each with its progress. */
export async function listMassRevocations(
  ledger: Transaction,
  freezeId: string,
  asked: PageAsked,
): Promise<Page<MassRevocationSituation>> {
  const { where, ...order } = pageQuery(asked);
  const rows = await ledger.massRevocation.findMany({ ...order, where: { AND: [{ freezeId }, where ?? {}] } });
  const { items, next } = pageOf(rows, asked.limit);
  return { items: await withProgress(ledger, items), next };
}

export async function findMassRevocation(
  ledger: Transaction,
  { freezeId, id }: { freezeId: string; id: string },
): Promise<MassRevocationSituation | undefined> {
  const row = await ledger.massRevocation.findFirst({ where: { id, freezeId } });
  return row === null ? undefined : (await withProgress(ledger, [row]))[0];
}

async function withProgress(
  ledger: Transaction,
  rows: readonly MassRevocation[],
): Promise<readonly MassRevocationSituation[]> {
  const progress = await ledger.$queryRaw<(IssuerProgress & { id: string })[]>`
    SELECT s."massRevocationId" AS "id", s."issuer",
      (count(*) FILTER (WHERE s."state" = 'waiting'))::int AS "waiting",
      (count(*) FILTER (WHERE s."state" = 'begun' AND NOT ${isStuck}))::int AS "underWay",
      (count(*) FILTER (WHERE s."state" = 'finished'))::int AS "revoked",
      (count(*) FILTER (WHERE s."state" = 'begun' AND ${isStuck}))::int AS "stuck",
      (count(*) FILTER (WHERE s."state" = 'let-go'))::int AS "letGo"
    FROM "mass_revocation_subject" s LEFT JOIN "request" r ON r."id" = s."requestId" AND s."state" = 'begun'
    WHERE s."massRevocationId" = ANY(${rows.map(({ id }) => id)}::text[]) GROUP BY 1, 2 ORDER BY 1, 2`;
  return rows.map((row) => ({
    ...row,
    // Written by ledger/massRevocationClose.ts alone, and never changed after.
    report: row.report as unknown as MassRevocationReport | null,
    issuers: progress.filter(({ id }) => id === row.id).map(({ id: _, ...issuer }) => issuer),
  }));
}

const shownStuck = 200;

/** What a person should look at: those that wait the longest, 200 at most. */
export async function stuckSubjects(ledger: Transaction, massRevocationId: string): Promise<readonly StuckSubject[]> {
  return ledger.$queryRaw<StuckSubject[]>`
    SELECT s."identityId", i."name", s."issuer", s."requestId", s."begunAt", coalesce(
      (SELECT "retry" ->> 'message' FROM jsonb_path_query(r."flowState", '$.effect.retries.*') AS "retry"
        ORDER BY ("retry" ->> 'attempt')::int DESC LIMIT 1), s."lastError", '') AS "error"
    FROM "mass_revocation_subject" s JOIN "identity" i ON i."id" = s."identityId"
      LEFT JOIN "request" r ON r."id" = s."requestId"
    WHERE s."massRevocationId" = ${massRevocationId} AND s."state" = 'begun' AND ${isStuck}
    ORDER BY s."begunAt", s."identityId" LIMIT ${shownStuck}`;
}

export interface RevokedCredential {
  readonly identityId: string;
  readonly version: number;
  readonly requestId: string | null;
  readonly state: string;
  readonly receipt: unknown;
}

/** The credentials of subjects that were begun, in the order of their handles, after `afterHandle`. */
export async function revokedCredentials(
  ledger: Transaction,
  massRevocationId: string,
  { limit, afterHandle }: { limit: number; afterHandle: string },
): Promise<readonly (RevokedCredential & { readonly handle: string })[]> {
  return ledger.$queryRaw`
    SELECT c."handle", c."identityId", c."version", s."requestId", c."state", c."receipt"
    FROM ${itsCredentials(massRevocationId)} AND c."handle" > ${afterHandle}
    ORDER BY c."handle" LIMIT ${limit}`;
}

/**
 * Subjects of open mass revocations by issuer, for metrics: what waits, and what needs a person. What is over is not read:
 * each half has a partial index of its own.
 */
export async function openMassRevocations(
  ledger: Pick<Transaction, '$queryRaw'>,
): Promise<readonly { issuer: string; waiting: number; underWay: number; stuck: number }[]> {
  return ledger.$queryRaw`
    SELECT "issuer", sum("waiting")::int AS "waiting", sum("underWay")::int AS "underWay", sum("stuck")::int AS "stuck" FROM (
      SELECT "issuer", count(*) AS "waiting", 0 AS "underWay", 0 AS "stuck"
      FROM "mass_revocation_subject" WHERE "state" = 'waiting' GROUP BY "issuer"
      UNION ALL
      SELECT s."issuer", 0, count(*) FILTER (WHERE NOT ${isStuck}), count(*) FILTER (WHERE ${isStuck})
      FROM "mass_revocation_subject" s LEFT JOIN "request" r ON r."id" = s."requestId"
      WHERE s."state" = 'begun' GROUP BY s."issuer") AS "open"
    GROUP BY "issuer"`;
}
