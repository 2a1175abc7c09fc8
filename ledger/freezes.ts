import type { Freeze } from '../prisma/generated/client.ts';
import { freezeLock, type Ledger, type Transaction } from './client.ts';
import { appendEvidence } from './evidence.ts';
import { enqueue } from './outbox.ts';

export interface FreezeOrder {
  readonly id: string;
  readonly identityIds: readonly string[];
  readonly integrations: readonly string[];
  readonly reason: string;
  readonly by: string;
}

/** How long a freeze waits for transactions that may issue before it ends them. */
const patience = '500ms';
const lockNotAvailable = '55P03';

/**
 * Effect: one row, in force from this commit on for every subject that matches, however many. Takes the freeze lock
 * exclusively, so that no begin or commit is between its read of the freezes and its own commit; what holds the lock too
 * long is terminated. Idempotent by id.
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
    const { id, identityIds, integrations, reason, by } = order;
    const createdAt = await databaseClock(tx);
    const freeze = await tx.freeze.create({
      data: { id, identityIds: [...identityIds], integrations: [...integrations], reason, openedBy: by, createdAt },
    });
    await appendEvidence(tx, ledger.evidence, [
      {
        chain: `freeze/${id}`,
        kind: 'freeze.opened',
        actor: by,
        at: createdAt,
        data: { freezeId: id, identityIds: [...identityIds], integrations: [...integrations], reason },
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
    };

/** Effect: the freeze holds no more. Another responder than the one who opened it, with a recorded reason. */
export async function liftFreeze(
  ledger: Ledger,
  { id, by, reason }: { id: string; by: string; reason: string },
): Promise<Lift> {
  return ledger.prisma.$transaction(async (tx): Promise<Lift> => {
    const [freeze] = await tx.$queryRaw<Freeze[]>`SELECT * FROM "freeze" WHERE "id" = ${id} FOR UPDATE`;
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
    if (freeze.openedBy === by) {
      return {
        lifted: false,
        slug: 'second-responder',
        detail: `${by} opened freeze ${id}; another responder must lift it.`,
      };
    }
    const liftedAt = await databaseClock(tx);
    const lifted = await tx.freeze.update({ where: { id }, data: { liftedAt, liftedBy: by, liftReason: reason } });
    await appendEvidence(tx, ledger.evidence, [
      { chain: `freeze/${id}`, kind: 'freeze.lifted', actor: by, at: liftedAt, data: { freezeId: id, reason } },
    ]);
    await enqueue(tx, { kind: 'nudge-frozen', freezeId: id });
    return { lifted: true, freeze: lifted };
  });
}

/** The next open requests that this freeze concerns, after `afterRequestId`, in id order. */
export async function requestsOfFreeze(
  ledger: Pick<Ledger, 'prisma'>,
  { freezeId, afterRequestId, limit }: { freezeId: string; afterRequestId: string; limit: number },
): Promise<readonly string[]> {
  const rows = await ledger.prisma.$queryRaw<{ id: string }[]>`
    SELECT r."id" FROM "freeze" f
      JOIN "identity" i ON i."id" = ANY(f."identityIds") OR i."integration" = ANY(f."integrations")
      JOIN "request" r ON r."identityId" = i."id"
    WHERE f."id" = ${freezeId} AND r."finishedAt" IS NULL AND r."id" > ${afterRequestId}
    ORDER BY r."id" LIMIT ${limit}`;
  return rows.map(({ id }) => id);
}

async function databaseClock(tx: Transaction): Promise<Date> {
  const [row] = await tx.$queryRaw<{ now: Date }[]>`SELECT clock_timestamp() AS "now"`;
  if (row === undefined) throw new TypeError('PostgreSQL answered a SELECT without FROM with no row.');
  return row.now;
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
