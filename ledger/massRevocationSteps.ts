import type { RevocationPace } from '../domain/massRevocation.ts';
import { ownKey } from '../domain/ownKey.ts';
import type { MassRevocation } from '../prisma/generated/client.ts';
import type { Ledger, Transaction } from './client.ts';
import { closeIfDone } from './massRevocationClose.ts';
import { openOnes, reserve } from './massRevocationRoom.ts';
import { gatherSubjects, settleFinished, standingOf } from './massRevocationSubjects.ts';
import { revokeNow } from './revoke.ts';
import { updateRow } from './rows.ts';
import type { Statements } from './statements.ts';

/**
 * The driver of mass revocations: rows in, rows out, so that whoever is killed between two statements has lost nothing.
 * Several workers may step at once: one of them plans, all of them begin what is planned.
 */

/** Held by whoever plans, so that limits are counted once. */
const planningLock = 7_305_808_869_231_004n;
const openedAtOnce = 4;
const batchSize = 40;

/** What one step found and did. */
export interface MassRevocationStep {
  /** Open ones: with none, nothing was to be done. */
  readonly open: number;
  readonly begun: number;
}

/**
 * Effect: settles what has finished, begins as many revocations as the issuers' limits allow, closes what is complete. Call
 * it again and again. Idempotent: what was begun is begun once, whoever calls.
 * @param paceOf the limits of an issuer, by its name
 * @param onError told of a revocation that could not be opened for a reason that is no refusal; it is tried again
 */
export async function stepMassRevocations(
  ledger: Ledger,
  paceOf: (issuer: string) => RevocationPace,
  onError: (error: unknown, what: string) => void,
): Promise<MassRevocationStep> {
  const open = (await ledger.direct.$queryRaw<unknown[]>`SELECT FROM "mass_revocation" WHERE "closedAt" IS NULL`)
    .length;
  if (open === 0) return { open, begun: 0 };
  await plan(ledger, paceOf);
  const planned = await claimPlanned(ledger);
  let begun = 0;
  for (let first = 0; first < planned.length; first += openedAtOnce) {
    const results = await Promise.all(
      planned.slice(first, first + openedAtOnce).map((subject) =>
        begin(ledger, subject).catch(async (error: unknown) => {
          onError(error, `revocation of identity ${subject.identityId}`);
          await noteFailure(ledger, subject, error instanceof Error ? error.message.trim() : String(error));
          return false;
        }),
      ),
    );
    begun += results.filter(Boolean).length;
  }
  return { open, begun };
}

/** Settles and reserves, then gathers and closes what is due: one worker at a time, in short transactions. */
async function plan(ledger: Ledger, paceOf: (issuer: string) => RevocationPace): Promise<void> {
  const open = await planning(ledger, async (tx) => {
    await settleFinished(tx);
    const rows = await openOnes(tx);
    await reserve(
      tx,
      rows.filter(({ mayBegin }) => mayBegin),
      paceOf,
    );
    return rows;
  });
  for (const { id } of open?.filter(({ isGatherDue }) => isGatherDue) ?? [])
    await planning(ledger, async (tx) => {
      // Not while a lift lets go of what waits: whoever it gathered after that would wait for ever.
      const [row] = await tx.$queryRaw<MassRevocation[]>`
        SELECT * FROM "mass_revocation" WHERE "id" = ${id} AND "closedAt" IS NULL FOR UPDATE`;
      if (row !== undefined && (await gatherSubjects(tx, row)) === 0) await closeIfDone(tx, ledger, row);
    });
}

/** Runs `work` unless another worker plans; undefined then. */
async function planning<T>(ledger: Ledger, work: (tx: Transaction) => Promise<T>): Promise<T | undefined> {
  return ledger.prisma.$transaction(
    async (tx) => {
      const [lock] = await tx.$queryRaw<{ isOurs: boolean }[]>`
        SELECT pg_try_advisory_xact_lock(${planningLock}) AS "isOurs"`;
      return lock?.isOurs === true ? work(tx) : undefined;
    },
    { timeout: 15_000, maxWait: 2_000 },
  );
}

interface Planned extends Pick<MassRevocation, 'freezeId' | 'reason' | 'startedBy'> {
  readonly massRevocationId: string;
  readonly identityId: string;
}

/** Claims what is begun and not open yet; claiming pushes the next attempt, by as much as it has failed before. */
async function claimPlanned({ prisma }: Ledger): Promise<readonly Planned[]> {
  return prisma.$queryRaw<Planned[]>`
    UPDATE "mass_revocation_subject" s SET
      "nextAttemptAt" = clock_timestamp() + make_interval(secs => least(5 * power(2, s."attempts"), 300))
    FROM "mass_revocation" m
    WHERE m."id" = s."massRevocationId" AND (s."massRevocationId", s."identityId") IN (
      SELECT "massRevocationId", "identityId" FROM "mass_revocation_subject"
      WHERE "state" = 'begun' AND "requestId" IS NULL AND "nextAttemptAt" <= statement_timestamp()
      ORDER BY "begunAt" LIMIT ${batchSize} FOR UPDATE SKIP LOCKED)
    RETURNING s."massRevocationId", s."identityId", m."freezeId", m."reason", m."startedBy"`;
}

type Fate = 'paused' | 'revoked' | 'let-go';

/**
 * Effect: the responder's revocation of one identity (ledger/revoke.ts), its whole transaction, unless the mass revocation was
 * paused meanwhile, the freeze lifted, the identity let go, or revoked by somebody else. Idempotent: one key for each.
 * @returns whether it is open
 */
async function begin(ledger: Ledger, subject: Planned): Promise<boolean> {
  const { massRevocationId, identityId, freezeId, startedBy: principal } = subject;
  let fate: Fate | undefined;
  const result = await revokeNow(
    ledger,
    {
      ...ownKey(principal, `mass-revocation/${massRevocationId}/${identityId}`),
      kind: 'revocation',
      identityId,
      principalKind: 'person',
      trigger: 'incident',
      justification: `${subject.reason} (mass revocation ${massRevocationId} of freeze ${freezeId})`,
    },
    async (tx, open) => {
      fate = await fateOf(tx, subject);
      if (fate !== undefined) return { opened: false, slug: fate, detail: `Identity ${identityId}: ${fate}.` };
      const opened = await open();
      if (opened.opened)
        await updateRow(
          tx,
          'mass_revocation_subject',
          { massRevocationId, identityId },
          { requestId: opened.requestId, lastError: null },
        );
      return opened;
    },
  );
  if (result.opened) return true;
  if (fate === undefined) await noteFailure(ledger, subject, result.detail);
  else await meet(ledger, subject, fate);
  return false;
}

/** Read under the lock of the mass revocation, which a pause and a lift take, and of the identity, which a review takes. */
async function fateOf(tx: Statements, { massRevocationId, freezeId, identityId }: Planned): Promise<Fate | undefined> {
  const [row] = await tx.$queryRaw<{ pausedAt: Date | null }[]>`
    SELECT "pausedAt" FROM "mass_revocation" WHERE "id" = ${massRevocationId} FOR SHARE`;
  await tx.$queryRaw`SELECT FROM "identity" WHERE "id" = ${identityId} FOR UPDATE`;
  const standing = await standingOf(tx, { freezeId, identityId });
  if (standing !== 'revocable') return standing;
  return row?.pausedAt === null ? undefined : 'paused';
}

/** Effect: one that was not opened waits on, or is done with. */
async function meet({ prisma }: Ledger, { massRevocationId, identityId }: Planned, fate: Fate): Promise<void> {
  await prisma.massRevocationSubject.updateMany({
    where: { massRevocationId, identityId, state: 'begun', requestId: null },
    data:
      fate === 'paused'
        ? { state: 'waiting', begunAt: null }
        : { state: fate === 'revoked' ? 'finished' : 'let-go', finishedAt: new Date() },
  });
}

/** Effect: the failure is listed, and the next attempt is a backoff away. */
async function noteFailure({ prisma }: Ledger, subject: Planned, lastError: string): Promise<void> {
  const { massRevocationId, identityId } = subject;
  await prisma.massRevocationSubject.updateMany({
    where: { massRevocationId, identityId, state: 'begun', requestId: null },
    data: { attempts: { increment: 1 }, lastError: lastError.slice(0, 500) },
  });
}
