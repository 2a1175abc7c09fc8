import { resolvedByHand } from '../domain/flow/plan.ts';
import {
  type HandResolution,
  listedInReport,
  type MassRevocationReport,
  type ResidualAccess,
} from '../domain/massRevocation.ts';
import { type MassRevocation, Prisma } from '../prisma/generated/client.ts';
import type { Ledger, Transaction } from './client.ts';
import { databaseClock } from './databaseClock.ts';
import { appendEvidence } from './evidence.ts';
import { evidence } from './massRevocations.ts';

/** Credentials `c` of revoked subjects that were not destroyed when the mass revocation began. */
export const itsCredentials = (massRevocationId: string) => Prisma.sql`
  "mass_revocation" m
  JOIN "mass_revocation_subject" s ON s."massRevocationId" = m."id" AND s."state" IN ('begun', 'finished')
  JOIN "credential" c ON c."identityId" = s."identityId" AND (c."destroyedAt" IS NULL OR c."destroyedAt" >= m."createdAt")
  WHERE m."id" = ${massRevocationId}`;

/**
 * Effect: when nobody waits and nothing is under way, it closes, with its report as the last entry of evidence. Call it
 * under the row lock of the mass revocation, when nobody new matches.
 * @returns whether it closed
 */
export async function closeIfDone(tx: Transaction, ledger: Ledger, row: MassRevocation): Promise<boolean> {
  const open = await tx.massRevocationSubject.findFirst({
    where: { massRevocationId: row.id, state: { in: ['waiting', 'begun'] } },
    select: { identityId: true },
  });
  if (open !== null) return false;
  const closedAt = await databaseClock(tx);
  const report = await reportOf(tx, row, closedAt);
  await tx.massRevocation.update({
    where: { id: row.id },
    data: {
      closedAt,
      report: report as unknown as Prisma.InputJsonObject,
      pausedAt: null,
      pausedBy: null,
      pauseReason: null,
    },
  });
  await appendEvidence(tx, ledger.evidence, [
    evidence(row, { what: 'closed', by: 'system:mass-revocation', at: closedAt, data: report }),
  ]);
  return true;
}

async function reportOf(tx: Transaction, row: MassRevocation, closedAt: Date): Promise<MassRevocationReport> {
  const subjects = await tx.massRevocationSubject.groupBy({
    by: ['state'],
    where: { massRevocationId: row.id },
    _count: true,
  });
  const subjectsIn = (state: string) => subjects.find((group) => group.state === state)?._count ?? 0;
  const receipts = await tx.$queryRaw<{ method: string; count: number }[]>`
    SELECT coalesce(c."receipt" ->> 'method', 'missing') AS "method", count(*)::int AS "count"
    FROM ${itsCredentials(row.id)} GROUP BY 1`;
  const receiptsOf = (method: string) => receipts.find((group) => group.method === method)?.count ?? 0;
  const byHand = await tx.$queryRaw<(HandResolution & { total: number })[]>`
    SELECT c."identityId", c."version", coalesce(s."requestId", c."requestId") AS "requestId", substr(c."receipt" ->> 'because', ${resolvedByHand.length + 1}::int) AS "reason",
      count(*) OVER ()::int AS "total"
    FROM ${itsCredentials(row.id)} AND starts_with(c."receipt" ->> 'because', ${resolvedByHand})
    ORDER BY c."identityId", c."version" LIMIT ${listedInReport}`;
  const residual = await residualAccess(tx, row.id, closedAt);
  const first = residual.map(({ identityId, version, what, until }) => ({
    identityId,
    version,
    what,
    until: until?.toISOString() ?? null,
  }));
  return {
    startedBy: row.startedBy,
    startedAt: row.createdAt.toISOString(),
    closedAt: closedAt.toISOString(),
    seconds: Math.round((closedAt.getTime() - row.createdAt.getTime()) / 1000),
    subjects: { revoked: subjectsIn('finished'), letGo: subjectsIn('let-go') },
    receipts: {
      tried: receiptsOf('tried'),
      absent: receiptsOf('absent'),
      unverifiable: receiptsOf('unverifiable'),
      missing: receiptsOf('missing'),
    },
    resolvedByHand: {
      count: byHand[0]?.total ?? 0,
      first: byHand.map(({ identityId, version, requestId, reason }) => ({ identityId, version, requestId, reason })),
    },
    residual: { count: residual[0]?.total ?? 0, worst: first[0] ?? null, first },
  };
}

type Residual = Omit<ResidualAccess, 'until'> & { readonly until: Date | null; readonly total: number };

/** What a receipt says is still usable, and every credential without one; the longest first. */
async function residualAccess(tx: Transaction, id: string, at: Date): Promise<readonly Residual[]> {
  return tx.$queryRaw<Residual[]>`
    SELECT "residual".*, count(*) OVER ()::int AS "total" FROM (
      SELECT c."identityId", c."version", "usable" ->> 'what' AS "what", ("usable" ->> 'until')::timestamptz AS "until"
      FROM (SELECT c.* FROM ${itsCredentials(id)} AND c."receipt" IS NOT NULL) c,
        jsonb_array_elements(c."receipt" -> 'stillUsable') AS "usable"
      UNION ALL
      SELECT c."identityId", c."version", 'credential version ' || c."version" || ', whose destroy is still owed', c."expiresAt"
      FROM ${itsCredentials(id)} AND c."receipt" IS NULL) AS "residual"
    WHERE "until" IS NULL OR "until" > ${at}
    ORDER BY "until" DESC NULLS FIRST, "identityId", "version" LIMIT ${listedInReport}`;
}
