import { durationMs } from '../domain/flow/duration.ts';
import { type FreezeMode, type FreezeSelector, freezeSelector, namedBy } from '../domain/freezeSelector.ts';
import type { Freeze } from '../prisma/generated/client.ts';
import { freezeLock, type Ledger } from './client.ts';
import { databaseClock } from './databaseClock.ts';
import { setDue } from './dueWork.ts';
import { appendEvidence } from './evidence.ts';
import { isSubject } from './freezeSubjects.ts';
import { letGoWaiting } from './massRevocationSubjects.ts';
import { openMassRevocation } from './massRevocations.ts';
import { enqueue } from './outbox.ts';
import { idAmong } from './people.ts';
import { type UnreviewedSubject, unreviewedSubjects } from './queries/freezes.ts';

export interface FreezeOrder extends Partial<FreezeSelector> {
  readonly id: string;
  readonly reason: string;
  readonly by: string;
  /** `hold` when left out. */
  readonly mode?: FreezeMode;
  /** ISO 8601: how often it escalates while it is in force. */
  readonly escalateAfter?: string;
  /** Of a freeze that Tenure opens by itself: there is one for each cause, ever. */
  readonly cause?: string;
}

/** How long a freeze waits for transactions that may issue before it ends them. */
const patience = '500ms';
const lockNotAvailable = '55P03';

/**
 * Effect: one row, in force from this commit on for every subject that matches, however many. Takes the freeze lock
 * exclusively, so that no begin or commit is between its read of the freezes and its own commit; what holds the lock too
 * long is terminated. Idempotent by id. The caller has asked whether it matches nothing or everything.
 */
export async function openFreeze(ledger: Ledger, order: FreezeOrder): Promise<Freeze> {
  try {
    return await insertFreeze(ledger, order);
  } catch (error) {
    if (!isLockTimeout(error)) throw error;
    await endLockHolders(ledger);
    return insertFreeze(ledger, order);
  }
}

async function insertFreeze(ledger: Ledger, order: FreezeOrder): Promise<Freeze> {
  return ledger.prisma.$transaction(async (tx) => {
    await tx.$executeRaw`SELECT set_config('lock_timeout', ${patience}, true)`;
    await tx.$queryRaw`SELECT pg_advisory_xact_lock(${freezeLock})::text`;
    const existing = await tx.freeze.findUnique({ where: { id: order.id } });
    if (existing !== null) return existing;
    const { id, reason, by, mode = 'hold', escalateAfter, cause } = order;
    const createdAt = await databaseClock(tx);
    const selector = freezeSelector(order);
    const freeze = await tx.freeze.create({
      data: {
        id,
        ...copied(selector),
        mode,
        reason,
        openedBy: by,
        createdAt,
        ...(cause === undefined ? {} : { cause }),
        ...(escalateAfter === undefined ? {} : { escalateAfter }),
      },
    });
    if (escalateAfter !== undefined)
      await setDue(tx, 'freeze-escalation', id, new Date(createdAt.getTime() + durationMs(escalateAfter)));
    await appendEvidence(tx, ledger.evidence, [
      {
        chain: `freeze/${id}`,
        kind: 'freeze.opened',
        actor: by,
        at: createdAt,
        data: {
          freezeId: id,
          ...namedBy(selector),
          mode,
          reason,
          ...(escalateAfter === undefined ? {} : { escalateAfter }),
        },
      },
    ]);
    await enqueue(tx, { kind: 'nudge-frozen', freezeId: id });
    return freeze;
  });
}

export type Lift =
  | { readonly lifted: true; readonly freeze: Freeze }
  | {
      readonly lifted: false;
      readonly slug: 'not-found' | 'freeze-lifted' | 'second-responder';
      readonly detail: string;
    }
  | {
      readonly lifted: false;
      readonly slug: 'mass-revocation-running';
      readonly detail: string;
      readonly massRevocationId: string;
    }
  | {
      readonly lifted: false;
      readonly slug: 'exit-criteria-open';
      readonly detail: string;
      /** How many subjects no review has let go, and the first of them. */
      readonly unreviewed: { readonly count: number; readonly sample: readonly UnreviewedSubject[] };
    };

export interface LiftOrder {
  readonly id: string;
  readonly by: string;
  readonly reason: string;
  /** Also refused while subjects are not reviewed. Without it the reason alone carries the lift, and evidence says so. */
  readonly onlyIfReviewed?: boolean;
}

/**
 * Effect: the freeze holds no more. Another responder than the one who opened it, with a recorded reason. Refused while a
 * mass revocation of it runs; of a paused one, whatever it has not begun is let go.
 */
export async function liftFreeze(ledger: Ledger, { id, by, reason, onlyIfReviewed = false }: LiftOrder): Promise<Lift> {
  return ledger.prisma.$transaction(async (tx): Promise<Lift> => {
    const [freeze] = await tx.$queryRaw<Freeze[]>`SELECT * FROM "freeze" WHERE "id" = ${id} FOR NO KEY UPDATE`;
    if (freeze === undefined) return { lifted: false, slug: 'not-found', detail: `There is no freeze ${id}.` };
    if (freeze.liftedAt !== null) {
      // The same responder asking again asks for what already is.
      if (freeze.liftedBy === by) return { lifted: true, freeze };
      return {
        lifted: false,
        slug: 'freeze-lifted',
        detail: `Freeze ${id} was lifted at ${freeze.liftedAt.toISOString()}.`,
      };
    }
    if ((await idAmong(tx, by, [freeze.openedBy])) !== undefined) {
      return {
        lifted: false,
        slug: 'second-responder',
        detail: `${by} opened freeze ${id}; another responder must lift it.`,
      };
    }
    const massRevocation = await openMassRevocation(tx, id);
    if (massRevocation?.pausedAt === null) return massRevocationRunning(id, massRevocation.id);
    const unreviewed = await unreviewedSubjects(tx, id);
    const isOverride = unreviewed.count > 0;
    if (isOverride && onlyIfReviewed) return exitCriteriaOpen(id, unreviewed);
    const notRevoked = massRevocation === undefined ? 0 : await letGoWaiting(tx, massRevocation.id);
    const liftedAt = await databaseClock(tx);
    const lifted = await tx.freeze.update({
      where: { id },
      data: { liftedAt, liftedBy: by, liftReason: reason, liftOverride: isOverride },
    });
    await tx.dueWork.deleteMany({ where: { kind: 'freeze-escalation', subjectId: id } });
    await appendEvidence(tx, ledger.evidence, [
      {
        chain: `freeze/${id}`,
        kind: 'freeze.lifted',
        actor: by,
        at: liftedAt,
        data: { freezeId: id, reason, unreviewed: unreviewed.count, ...(notRevoked === 0 ? {} : { notRevoked }) },
      },
    ]);
    await enqueue(tx, { kind: 'nudge-frozen', freezeId: id });
    return { lifted: true, freeze: lifted };
  });
}

function massRevocationRunning(id: string, massRevocationId: string): Lift {
  return {
    lifted: false,
    slug: 'mass-revocation-running',
    detail:
      `Mass revocation ${massRevocationId} is revoking what freeze ${id} holds. Wait for it to close, or pause it ` +
      `(POST /v1/freezes/${id}/revocations/${massRevocationId}/pause): a lift then lets go of whatever it has not begun.`,
    massRevocationId,
  };
}

function exitCriteriaOpen(
  id: string,
  unreviewed: { count: number; sample: readonly UnreviewedSubject[] },
): Extract<Lift, { slug: 'exit-criteria-open' }> {
  const first = unreviewed.sample.map(({ identityId }) => identityId).slice(0, 3);
  return {
    lifted: false,
    slug: 'exit-criteria-open',
    detail:
      `Freeze ${id} still holds ${unreviewed.count} active identities that no review has let go, such as ${first.join(', ')}. ` +
      `Have them reviewed (POST /v1/freezes/${id}/reviews), or lift with override: true and the reason.`,
    unreviewed,
  };
}

/** Prisma wants arrays of its own. */
function copied(selector: FreezeSelector) {
  return {
    identityIds: [...selector.identityIds],
    integrations: [...selector.integrations],
    ownerIds: [...selector.ownerIds],
    issuers: [...selector.issuers],
    stores: [...selector.stores],
    environments: [...selector.environments],
    connectorIds: [...selector.connectorIds],
    flowDigests: [...selector.flowDigests],
    labels: [...selector.labels],
  };
}

/** The next open requests that this freeze concerns, after `afterRequestId`, in id order. */
export async function requestsOfFreeze(
  ledger: Pick<Ledger, 'prisma'>,
  { freezeId, afterRequestId, limit }: { freezeId: string; afterRequestId: string; limit: number },
): Promise<readonly string[]> {
  const rows = await ledger.prisma.$queryRaw<{ id: string }[]>`
    SELECT r."id" FROM "freeze" f
      JOIN "request" r ON r."finishedAt" IS NULL AND r."id" > ${afterRequestId}
      JOIN "identity" i ON i."id" = r."identityId"
    WHERE f."id" = ${freezeId} AND ${isSubject}
    ORDER BY r."id" LIMIT ${limit}`;
  return rows.map(({ id }) => id);
}

/** Ends whoever holds the freeze lock of this database: their transactions roll back, and will see the freeze. */
async function endLockHolders(ledger: Ledger): Promise<void> {
  const classId = Number(freezeLock >> 32n);
  const objectId = Number(freezeLock & 0xffff_ffffn);
  await ledger.prisma.$queryRaw`
    SELECT pg_terminate_backend("pid") FROM pg_locks
    WHERE "locktype" = 'advisory' AND "classid"::bigint = ${classId} AND "objid"::bigint = ${objectId} AND "granted"
      AND "database" = (SELECT "oid" FROM pg_database WHERE "datname" = current_database()) AND "pid" <> pg_backend_pid()`;
}

function isLockTimeout(error: unknown): boolean {
  return error instanceof Error && `${error.message} ${JSON.stringify(error)}`.includes(lockNotAvailable);
}
