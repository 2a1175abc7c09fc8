import type { MassRevocation } from '../prisma/generated/client.ts';
import type { Ledger, Transaction } from './client.ts';
import { databaseClock } from './databaseClock.ts';
import { appendEvidence } from './evidence.ts';
import { gatherSubjects } from './massRevocationSubjects.ts';

/**
 * A responder revokes everything that a freeze's subjects hold. Rows alone, Temporal up or down; the driver
 * (ledger/massRevocationSteps.ts) begins one revocation after another, at the pace that the issuers bear.
 */

export interface MassRevocationOrder {
  readonly id: string;
  readonly freezeId: string;
  readonly by: string;
  readonly reason: string;
  /** How many identities the responder expects at most: a revocation is not undone. */
  readonly confirmed: number | undefined;
}

export type MassRevocationStart =
  | { readonly started: true; readonly massRevocation: MassRevocation }
  | { readonly started: false; readonly slug: 'not-found' | 'freeze-lifted'; readonly detail: string }
  | {
      readonly started: false;
      readonly slug: 'mass-revocation-running';
      readonly detail: string;
      readonly massRevocationId: string;
    }
  | {
      readonly started: false;
      readonly slug: 'confirmation-required';
      readonly detail: string;
      /** How many identities would be revoked now. */
      readonly subjects: number;
    };

type Refusal = Extract<MassRevocationStart, { started: false }>;

/** A hundred thousand subjects take a few seconds to gather. */
const gatheringTimeoutMs = 20_000;

/**
 * Effect: from this commit on the freeze's subjects are revoked, those of now and those that match until it closes, the
 * most exposed first. Only under a freeze in force, and one at a time for each. Idempotent by id: a repeat finds its own,
 * closed or not, and is asked for no confirmation again.
 */
export async function startMassRevocation(ledger: Ledger, order: MassRevocationOrder): Promise<MassRevocationStart> {
  const { id, freezeId, by, reason, confirmed } = order;
  try {
    return await ledger.prisma.$transaction(
      async (tx): Promise<MassRevocationStart> => {
        // Before anything is read: a lift and another start wait for this one.
        const [freeze] = await tx.$queryRaw<{ liftedAt: Date | null }[]>`
          SELECT "liftedAt" FROM "freeze" WHERE "id" = ${freezeId} FOR NO KEY UPDATE`;
        if (freeze === undefined) throw new NotStarted(missing(freezeId));
        const existing = await tx.massRevocation.findUnique({ where: { id } });
        if (existing !== null) return { started: true, massRevocation: existing };
        if (freeze.liftedAt !== null) throw new NotStarted(lifted(freezeId, freeze.liftedAt));
        const running = await openMassRevocation(tx, freezeId);
        if (running !== undefined) throw new NotStarted(alreadyRunning(freezeId, running));
        const at = await databaseClock(tx);
        const massRevocation = await tx.massRevocation.create({
          data: { id, freezeId, reason, startedBy: by, createdAt: at, gatheredAt: at },
        });
        const subjects = await gatherSubjects(tx, massRevocation);
        if (confirmed === undefined || subjects > confirmed) throw new NotStarted(unconfirmed(freezeId, subjects));
        await appendEvidence(tx, ledger.evidence, [
          evidence(massRevocation, { what: 'started', by, at, data: { reason, subjects } }),
        ]);
        return { started: true, massRevocation };
      },
      { timeout: gatheringTimeoutMs, maxWait: 5_000 },
    );
  } catch (error) {
    if (error instanceof NotStarted) return error.refusal;
    throw error;
  }
}

export type MassRevocationCommand =
  | { readonly done: true; readonly massRevocation: MassRevocation }
  | {
      readonly done: false;
      readonly slug: 'not-found' | 'mass-revocation-closed' | 'freeze-lifted';
      readonly detail: string;
    };

interface CommandOrder {
  readonly id: string;
  readonly freezeId: string;
  readonly by: string;
  readonly reason: string;
}

/** Effect: from this commit on nothing more is begun; what was begun goes on. Idempotent: a paused one stays as it is. */
export async function pauseMassRevocation(ledger: Ledger, order: CommandOrder): Promise<MassRevocationCommand> {
  return command(ledger, order, async (tx, { pausedAt, id }, at) => {
    if (pausedAt !== null) return undefined;
    const { by, reason } = order;
    await tx.massRevocation.update({ where: { id }, data: { pausedAt: at, pausedBy: by, pauseReason: reason } });
    return 'paused';
  });
}

/** Effect: goes on with what waits. Idempotent: one that is not paused stays as it is. */
export async function resumeMassRevocation(ledger: Ledger, order: CommandOrder): Promise<MassRevocationCommand> {
  return command(ledger, order, async (tx, { pausedAt, id, freezeId }) => {
    if (pausedAt === null) return undefined;
    const { liftedAt } = await tx.freeze.findUniqueOrThrow({ where: { id: freezeId }, select: { liftedAt: true } });
    if (liftedAt !== null) return lifted(freezeId, liftedAt);
    await tx.massRevocation.update({ where: { id }, data: { pausedAt: null, pausedBy: null, pauseReason: null } });
    return 'resumed';
  });
}

async function command(
  ledger: Ledger,
  { id, freezeId, by, reason }: CommandOrder,
  change: (
    tx: Transaction,
    row: MassRevocation,
    at: Date,
  ) => Promise<'paused' | 'resumed' | { slug: 'freeze-lifted'; detail: string } | undefined>,
): Promise<MassRevocationCommand> {
  return ledger.prisma.$transaction(async (tx): Promise<MassRevocationCommand> => {
    const [row] = await tx.$queryRaw<MassRevocation[]>`
      SELECT * FROM "mass_revocation" WHERE "id" = ${id} AND "freezeId" = ${freezeId} FOR UPDATE`;
    if (row === undefined)
      return { done: false, slug: 'not-found', detail: `Freeze ${freezeId} has no mass revocation ${id}.` };
    if (row.closedAt !== null) {
      const detail = `Mass revocation ${id} closed at ${row.closedAt.toISOString()}; nothing of it waits any more.`;
      return { done: false, slug: 'mass-revocation-closed', detail };
    }
    const at = await databaseClock(tx);
    const changed = await change(tx, row, at);
    if (changed !== undefined && typeof changed !== 'string') return { done: false, ...changed };
    if (changed !== undefined)
      await appendEvidence(tx, ledger.evidence, [evidence(row, { what: changed, by, at, data: { reason } })]);
    return { done: true, massRevocation: await tx.massRevocation.findUniqueOrThrow({ where: { id } }) };
  });
}

/** The freeze's open one, locked, so that no step of it is between its reading and its commit. Lock the freeze before. */
export async function openMassRevocation(tx: Transaction, freezeId: string): Promise<MassRevocation | undefined> {
  const [row] = await tx.$queryRaw<MassRevocation[]>`
    SELECT * FROM "mass_revocation" WHERE "freezeId" = ${freezeId} AND "closedAt" IS NULL FOR UPDATE`;
  return row;
}

/** An entry of the freeze's own chain. */
export function evidence(
  { id, freezeId }: Pick<MassRevocation, 'id' | 'freezeId'>,
  { what, by, at, data }: { what: string; by: string; at: Date; data: Parameters<typeof JSON.stringify>[0] },
) {
  return {
    chain: `freeze/${freezeId}`,
    kind: `mass-revocation.${what}`,
    actor: by,
    at,
    data: { freezeId, massRevocationId: id, ...JSON.parse(JSON.stringify(data)) },
  };
}

const missing = (freezeId: string): Refusal => ({
  started: false,
  slug: 'not-found',
  detail: `There is no freeze ${freezeId}.`,
});

const lifted = (freezeId: string, at: Date) => ({
  started: false as const,
  slug: 'freeze-lifted' as const,
  detail: `Freeze ${freezeId} was lifted at ${at.toISOString()}, and only a freeze in force says whom to revoke. Open another one.`,
});

const alreadyRunning = (freezeId: string, { id, startedBy }: MassRevocation): Refusal => ({
  started: false,
  slug: 'mass-revocation-running',
  detail: `Mass revocation ${id} of freeze ${freezeId}, started by ${startedBy}, is open and takes in whoever matches. Follow it at /v1/freezes/${freezeId}/revocations/${id}.`,
  massRevocationId: id,
});

const unconfirmed = (freezeId: string, subjects: number): Refusal => ({
  started: false,
  slug: 'confirmation-required',
  detail: `Freeze ${freezeId} has ${subjects} subjects, and a revocation is not undone. If all of them are meant, send it again with confirm: ${subjects}.`,
  subjects,
});

/** Carries a refusal out of the transaction, so that it rolls back. */
class NotStarted extends Error {
  override readonly name = 'NotStarted';
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(refusal.detail);
    this.refusal = refusal;
  }
}
