import type { Checkpoint } from '../domain/evidence/checkpoint.ts';
import type { FlowEvent } from '../domain/flow/advance.ts';
import { idFromKey } from '../domain/ids.ts';
import type { LedgerRestore } from '../prisma/generated/client.ts';
import type { Ledger, Transaction } from './client.ts';
import { databaseClock } from './databaseClock.ts';
import { appendEvidence } from './evidence.ts';
import { beginLogAfterRestore } from './evidenceLogs.ts';
import { beginRuns, type Part } from './reconciliations.ts';
import { AnchorMissing, AnchorUnreadable } from './sealerAnchor.ts';
import { SealerHeadUnreadable } from './sealerHead.ts';
import {
  CheckpointTampered,
  checkSignedHistory,
  EvidenceForked,
  SealerHeadMissing,
  type Sealing,
} from './sealerSteps.ts';

export type { LedgerRestore };

/**
 * A ledger put back from a backup knows less than was done: what it would do by itself may destroy what is in use. From
 * the moment this is found it is observe-only, until an administrator confirms and every inventory was read again.
 */

/** The restore that keeps the ledger observe-only; undefined while it may act. */
export async function restoreInForce(ledger: Pick<Transaction, 'ledgerRestore'>): Promise<LedgerRestore | undefined> {
  const row = await ledger.ledgerRestore.findFirst({ where: { resumedAt: null }, orderBy: { detectedAt: 'asc' } });
  return row ?? undefined;
}

/** The last restore there was, in force or not. */
export async function latestRestore(ledger: Pick<Transaction, 'ledgerRestore'>): Promise<LedgerRestore | undefined> {
  return (await ledger.ledgerRestore.findFirst({ orderBy: { detectedAt: 'desc' } })) ?? undefined;
}

/**
 * Effect: the ledger is observe-only from this commit on. Idempotent by the signed head that it does not hold: one that
 * was confirmed stays confirmed.
 * @param signed the head (`EvidenceForked.signed`)
 */
export async function recordRestore(
  ledger: Ledger,
  signed: { readonly size: number; readonly root: Buffer },
): Promise<void> {
  const signedRoot = signed.root.toString('hex');
  await ledger.prisma.$transaction(async (tx) => {
    const at = await databaseClock(tx);
    const { count } = await tx.ledgerRestore.createMany({
      data: [
        {
          id: idFromKey('restore', { principal: 'system:sealer', key: `${signed.size}/${signedRoot}/${at.getTime()}` }),
          signedSize: signed.size,
          signedRoot,
          detectedAt: at,
        },
      ],
      skipDuplicates: true,
    });
    if (count === 0) return;
    const data = { signedSize: signed.size, signedRoot };
    await appendEvidence(tx, ledger.evidence, [
      { chain: 'installation', kind: 'installation.restored', actor: 'system:sealer', at, data },
    ]);
  });
}

/**
 * What the sealer does about signed entries that the ledger does not hold: observe-only, until an administrator has
 * resumed it without them; then a new log. Idempotent.
 */
export async function answerFork(ledger: Ledger, signed: Checkpoint): Promise<void> {
  if (!(await beginLogAfterRestore(ledger, signed))) await recordRestore(ledger, signed);
}

/**
 * Effect: asked before a process acts on the ledger; one that was put back from a backup is observe-only from then on.
 * @returns `unknown` where there is no usable head file or anchor: such a process cannot tell, and the sealer says what is wrong
 * @throws whatever keeps the question from being answered: nothing may be carried out then
 */
export async function observeIfRestored(
  ledger: Ledger,
  sealing: Sealing,
): Promise<'as signed' | 'restored' | 'unknown'> {
  try {
    await checkSignedHistory(sealing);
    return 'as signed';
  } catch (error) {
    if (cannotTell.some((kind) => error instanceof kind)) return 'unknown';
    if (!(error instanceof EvidenceForked)) throw error;
    await recordRestore(ledger, error.signed);
    return 'restored';
  }
}

/** The sealer says these, and stops: whether the ledger was restored is not known here. */
const cannotTell = [
  SealerHeadMissing,
  SealerHeadUnreadable,
  AnchorMissing,
  AnchorUnreadable,
  CheckpointTampered,
] as const;

export type Confirmation =
  | { readonly confirmed: true; readonly restore: LedgerRestore }
  | { readonly confirmed: false; readonly slug: 'not-observe-only'; readonly detail: string };

/**
 * Effect: an administrator lets a restored ledger act again, once each of `parts` was compared anew. Runs that were
 * under way are abandoned: what they saw was before. Idempotent: a repeated confirmation changes nothing.
 */
export async function confirmRestore(
  ledger: Ledger,
  { by, reason, parts }: { by: string; reason: string; parts: readonly Part[] },
): Promise<Confirmation> {
  return ledger.prisma.$transaction(async (tx): Promise<Confirmation> => {
    const [restore] = await tx.$queryRaw<LedgerRestore[]>`
      SELECT * FROM "ledger_restore" WHERE "resumedAt" IS NULL ORDER BY "detectedAt" LIMIT 1 FOR UPDATE`;
    if (restore === undefined) {
      const detail = 'The ledger is not observe-only: it acts already, and there is nothing to resume.';
      return { confirmed: false, slug: 'not-observe-only', detail };
    }
    if (restore.confirmedAt !== null) return { confirmed: true, restore };
    const at = await databaseClock(tx);
    await tx.reconciliation.updateMany({ where: { finishedAt: null }, data: { state: 'abandoned', finishedAt: at } });
    await beginRuns(tx, ledger, {
      parts,
      trigger: 'resume',
      by,
      at,
      restoreId: restore.id,
      idOf: ({ part, name }) =>
        idFromKey('reconciliation', { principal: 'system:resume', key: `${restore.id}/${part}/${name}` }),
    });
    const confirmed = await tx.ledgerRestore.update({
      where: { id: restore.id },
      data: { confirmedAt: at, confirmedBy: by, reason },
    });
    await appendEvidence(tx, ledger.evidence, [
      { chain: 'installation', kind: 'installation.resume-confirmed', actor: by, at, data: { reason } },
    ]);
    return { confirmed: true, restore: confirmed };
  });
}

/**
 * Effect: the ledger acts again, if it was confirmed and every run of that confirmation is done. Idempotent.
 * @returns whether it acts from now on because of this call
 */
export async function resumeIfCompared(ledger: Ledger): Promise<boolean> {
  return ledger.prisma.$transaction(async (tx) => {
    const [resumed] = await tx.$queryRaw<{ id: string; resumedAt: Date }[]>`
      UPDATE "ledger_restore" AS r SET "resumedAt" = clock_timestamp()
      WHERE r."resumedAt" IS NULL AND r."confirmedAt" IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM "reconciliation" WHERE "restoreId" = r."id" AND "finishedAt" IS NULL)
      RETURNING "id", "resumedAt"`;
    if (resumed === undefined) return false;
    // What was only observed is repaired in the runs that follow at once.
    await tx.dueWork.updateMany({ where: { kind: 'reconcile' }, data: { dueAt: resumed.resumedAt, attempts: 0 } });
    await appendEvidence(tx, ledger.evidence, [
      {
        chain: 'installation',
        kind: 'installation.resumed',
        actor: 'system:reconciler',
        at: resumed.resumedAt,
        data: { restore: resumed.id },
      },
    ]);
    return true;
  });
}

/**
 * Whether an event may change a request while the ledger is observe-only: a pause or cancel, which start nothing, and
 * everything of a revocation that was asked for since, by somebody who knows.
 * @param observedSince when the restore was found
 */
export function mayChangeWhileObserving(
  request: { readonly kind: string; readonly createdAt: string },
  event: FlowEvent,
  observedSince: Date,
): boolean {
  if (event.kind === 'command' && (event.command.do === 'pause' || event.command.do === 'cancel')) return true;
  return request.kind === 'revocation' && Date.parse(request.createdAt) >= observedSince.getTime();
}

/**
 * Before an effect outside: nothing is done while the ledger is observe-only, but what a revocation asked for since wants.
 * @throws LedgerRestored
 */
export async function requireActing({ direct }: Pick<Ledger, 'direct'>, identityId: string): Promise<void> {
  const [held] = await direct.$queryRaw<{ id: string }[]>`
    SELECT r."id" FROM "ledger_restore" r WHERE r."resumedAt" IS NULL AND NOT EXISTS (
      SELECT 1 FROM "request" WHERE "identityId" = ${identityId} AND "kind" = 'revocation'
        AND "createdAt" >= r."detectedAt") LIMIT 1`;
  if (held !== undefined) throw new LedgerRestored(`identity ${identityId}`);
}

/** The same before a workflow is told to go on. @throws LedgerRestored */
export async function requireMayGoOn({ direct }: Pick<Ledger, 'direct'>, requestId: string): Promise<void> {
  const [held] = await direct.$queryRaw<{ id: string }[]>`
    SELECT r."id" FROM "ledger_restore" r WHERE r."resumedAt" IS NULL AND NOT EXISTS (
      SELECT 1 FROM "request" WHERE "id" = ${requestId} AND "kind" = 'revocation'
        AND "createdAt" >= r."detectedAt") LIMIT 1`;
  if (held !== undefined) throw new LedgerRestored(`request ${requestId}`);
}

/** The ledger is observe-only: nothing was changed. Goes on by itself once it has resumed. */
export class LedgerRestored extends Error {
  override readonly name = 'LedgerRestored';
  constructor(subject: string) {
    super(
      `The ledger was restored from a backup and is observe-only, so nothing is done about ${subject}. Read GET ` +
        '/v1/reconciliations and its findings; an administrator then confirms with POST /v1/reconciliations/resume.',
    );
  }
}
