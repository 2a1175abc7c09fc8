import type { Receipt } from '../domain/flow/plan.ts';
import type { CredentialState, IdentityState } from '../domain/states.ts';
import type { Ledger } from './client.ts';

/** What an effect reads again before it acts: the ledger, not the workflow, says what is still wanted. */
export interface CredentialOrder {
  readonly handle: string;
  readonly state: CredentialState;
  readonly fingerprint: string | undefined;
  readonly expiresAt: Date | undefined;
  readonly probe: Receipt | undefined;
  readonly identity: {
    readonly id: string;
    readonly state: IdentityState;
    readonly epoch: number;
    readonly issuer: string;
    readonly store: string;
    readonly scopes: readonly string[];
  };
}

type Reads = Pick<Ledger, 'prisma'>;

/** @throws CredentialMissing */
export async function readCredential(
  { prisma }: Reads,
  { identityId, version }: { identityId: string; version: number },
): Promise<CredentialOrder> {
  const row = await prisma.credential.findUnique({
    where: { identityId_version: { identityId, version } },
    include: { identity: true },
  });
  if (row === null) throw new CredentialMissing(identityId, version);
  const { identity } = row;
  return {
    handle: row.handle,
    state: row.state as CredentialState,
    fingerprint: row.fingerprint ?? undefined,
    expiresAt: row.expiresAt ?? undefined,
    probe: (row.probe as unknown as Receipt | null) ?? undefined,
    identity: {
      id: identity.id,
      state: identity.state as IdentityState,
      epoch: identity.epoch,
      issuer: identity.issuer,
      store: identity.store,
      scopes: identity.scopes,
    },
  };
}

/** Which store serves an identity. @throws CredentialMissing */
export async function storeOf({ prisma }: Reads, identityId: string): Promise<string> {
  const identity = await prisma.identity.findUnique({ where: { id: identityId }, select: { store: true } });
  if (identity === null) throw new CredentialMissing(identityId, 0);
  return identity.store;
}

/** Whether every credential of a final identity is at least confirmed gone: what the issuer keeps per identity may go too. */
export async function isIdentityEmptied({ prisma }: Reads, identityId: string, but: number): Promise<boolean> {
  const identity = await prisma.identity.findUnique({ where: { id: identityId }, select: { state: true } });
  if (identity === null || identity.state === 'requested' || identity.state === 'active') return false;
  const [row] = await prisma.$queryRaw<{ left: bigint }[]>`
    SELECT count(*) AS "left" FROM "credential"
    WHERE "identityId" = ${identityId} AND "version" <> ${but} AND "state" <> 'destroyed' AND "probe" IS NULL`;
  const left = Number(row?.left ?? 0);
  return left === 0;
}

/** Whether no creation of this handle can land any more, by the database's clock. */
export async function isLeaseOver({ prisma }: Reads, handle: string): Promise<boolean> {
  const [row] = await prisma.$queryRaw<{ isOver: boolean }[]>`
    SELECT "leaseEndsAt" <= clock_timestamp() AS "isOver" FROM "credential" WHERE "handle" = ${handle}`;
  return row?.isOver ?? false;
}

/**
 * Effect: keeps what a destroy's probe saw; the first one wins, since a later one can no longer try the secret.
 * @returns the probe that is kept
 */
export async function keepProbe(
  { prisma }: Reads,
  { handle, probe }: { handle: string; probe: Receipt },
): Promise<Receipt> {
  const rows = await prisma.$queryRaw<{ probe: Receipt }[]>`
    UPDATE "credential" SET "probe" = coalesce("probe", ${JSON.stringify(probe)}::jsonb)
    WHERE "handle" = ${handle} RETURNING "probe"`;
  return rows[0]?.probe ?? probe;
}

/** The ledger does not know this credential: nothing may be done to it. Not retryable. */
export class CredentialMissing extends Error {
  override readonly name = 'CredentialMissing';
  constructor(identityId: string, version: number) {
    super(
      `Credential ${identityId}-v${version} is not in the ledger; nothing was done. Check that worker and API use the same database.`,
    );
  }
}
