import type { RequestTarget } from '../domain/flow/open.ts';
import { Prisma } from '../prisma/generated/client.ts';
import type { Ledger } from './client.ts';
import { targetOf } from './requestTarget.ts';
import type { Statements } from './statements.ts';

export interface DueRow {
  readonly kind:
    | 'rotation'
    | 'expiry'
    | 'sweep'
    | 'review'
    | 'review-missed'
    | 'freeze-escalation'
    | 'freeze-reviews'
    | 'reconcile';
  /**
   * An identity id; for a sweep, a credential's handle; for an escalation, a freeze's id; for `freeze-reviews`, the id of the
   * responder's order (ledger/freezeReviews.ts); for `reconcile`, an issuer or store (ledger/reconciliations.ts).
   */
  readonly subjectId: string;
  /** How often it was claimed, this time included. */
  readonly attempts: number;
}

type Rows = Pick<Ledger, 'prisma'>;

/** Effect: one due row per kind and subject; the newest date wins. */
export async function setDue(tx: Statements, kind: DueRow['kind'], subjectId: string, at: Date): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO "due_work" ("kind", "subjectId", "dueAt") VALUES (${kind}, ${subjectId}, ${at}) ${newestDateWins}`;
}

/** Ends an insertion into "due_work". */
export const newestDateWins = Prisma.sql`
  ON CONFLICT ("kind", "subjectId") DO UPDATE SET "dueAt" = excluded."dueAt", "attempts" = 0`;

/**
 * Claims what is due, oldest first, by index. Claiming pushes the row by a backoff with jitter (1 min, 2, 4 … 1 day), so
 * that frozen or failing rows cannot fill every batch; work that succeeds removes or re-dates its row. What is due is asked
 * of the statement's clock: a volatile one would be compared with every row of the index instead of bounding it.
 * @param only leaves every other kind of row as it is
 */
export async function claimDueRows({ prisma }: Rows, limit: number, only?: DueRow['kind']): Promise<readonly DueRow[]> {
  return prisma.$queryRaw<DueRow[]>`
    UPDATE "due_work" SET
      "attempts" = "attempts" + 1,
      "dueAt" = clock_timestamp() + make_interval(secs => least(60 * power(2, "attempts"), 86400) * (0.75 + random() / 2))
    WHERE ("kind", "subjectId") IN (
      SELECT "kind", "subjectId" FROM "due_work"
      WHERE "dueAt" <= statement_timestamp() AND (${only ?? null}::text IS NULL OR "kind" = ${only ?? null})
      ORDER BY "dueAt" LIMIT ${limit} FOR UPDATE SKIP LOCKED)
    RETURNING "kind", "subjectId", "attempts"`;
}

/** The row's work is done or has become pointless. Idempotent. */
export async function removeDueRow({ prisma }: Rows, { kind, subjectId }: DueRow): Promise<void> {
  await prisma.dueWork.deleteMany({ where: { kind, subjectId } });
}

export interface SleepingRequest {
  readonly id: string;
  readonly target: RequestTarget;
}

/** Claims requests that should have moved by themselves and have not: their workflow may be lost. Each is looked at again 2 min later. */
export async function claimSleepingRequests({ prisma }: Rows, limit: number): Promise<readonly SleepingRequest[]> {
  const rows = await prisma.$queryRaw<{ id: string; kind: string; identityId: string | null }[]>`
    UPDATE "request" SET "wakeAt" = clock_timestamp() + interval '2 minutes'
    WHERE "id" IN (
      SELECT "id" FROM "request" WHERE "wakeAt" <= statement_timestamp() ORDER BY "wakeAt" LIMIT ${limit} FOR UPDATE SKIP LOCKED)
    RETURNING "id", "kind", "identityId"`;
  return rows.map((row) => ({ id: row.id, target: targetOf(row) }));
}

/** What scheduled work needs to open its request; undefined when the identity is not active any more. */
export async function activeIdentity(
  { prisma }: Rows,
  identityId: string,
): Promise<{ readonly id: string; readonly highestVersion: number; readonly reviews: number } | undefined> {
  const identity = await prisma.identity.findFirst({
    where: { id: identityId, state: 'active' },
    select: {
      id: true,
      highestVersion: true,
      _count: { select: { requests: { where: { kind: 'review', state: 'completed' } } } },
    },
  });
  if (identity === null) return undefined;
  return { id: identity.id, highestVersion: identity.highestVersion, reviews: identity._count.requests };
}

/** The lifecycle finished a run: alerting watches the age of this. */
export async function recordLifecycleSuccess({ prisma }: Rows): Promise<void> {
  await prisma.$executeRaw`
    INSERT INTO "lifecycle_run" ("id", "lastSuccessAt") VALUES (1, clock_timestamp())
    ON CONFLICT ("id") DO UPDATE SET "lastSuccessAt" = excluded."lastSuccessAt"`;
}
