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

type Reads = Pick<Ledger, 'direct'>;

/** @throws CredentialMissing */
export async function readCredential(
  { direct }: Reads,
  { identityId, version }: { identityId: string; version: number },
): Promise<CredentialOrder> {
  const [row] = await direct.$queryRaw<CredentialRow[]>`
    SELECT c."handle", c."state", c."fingerprint", c."expiresAt", c."probe", i."id" AS "identityId",
      i."state" AS "identityState", i."epoch", i."issuer", i."store", i."scopes"
    FROM "credential" c JOIN "identity" i ON i."id" = c."identityId"
    WHERE c."identityId" = ${identityId} AND c."version" = ${version}`;
  if (row === undefined) throw new CredentialMissing(identityId, version);
  const { handle, state, epoch, issuer, store, scopes } = row;
  return {
    handle,
    state,
    fingerprint: row.fingerprint ?? undefined,
    expiresAt: row.expiresAt ?? undefined,
    probe: row.probe ?? undefined,
    identity: { id: row.identityId, state: row.identityState, epoch, issuer, store, scopes },
  };
}

interface CredentialRow {
  readonly handle: string;
  readonly state: CredentialState;
  readonly fingerprint: string | null;
  readonly expiresAt: Date | null;
  readonly probe: Receipt | null;
  readonly identityId: string;
  readonly identityState: IdentityState;
  readonly epoch: number;
  readonly issuer: string;
  readonly store: string;
  readonly scopes: readonly string[];
}

/** Which store serves an identity. @throws CredentialMissing */
export async function storeOf({ direct }: Reads, identityId: string): Promise<string> {
  const [identity] = await direct.$queryRaw<{ store: string }[]>`
    SELECT "store" FROM "identity" WHERE "id" = ${identityId}`;
  if (identity === undefined) throw new CredentialMissing(identityId, 0);
  return identity.store;
}

/** Whether every credential of a final identity is at least confirmed gone: what the issuer keeps per identity may go too. */
export async function isIdentityEmptied({ direct }: Reads, identityId: string, but: number): Promise<boolean> {
  const [row] = await direct.$queryRaw<{ isEmptied: boolean }[]>`
    SELECT "state" NOT IN ('requested', 'active') AND NOT EXISTS (
      SELECT FROM "credential" c WHERE c."identityId" = i."id" AND c."version" <> ${but} AND c."state" <> 'destroyed'
        AND c."probe" IS NULL) AS "isEmptied"
    FROM "identity" i WHERE i."id" = ${identityId}`;
  return row?.isEmptied ?? false;
}

/**
 * Effect: keeps what a destroy's probe saw. What was `tried` stays, since a later look can no longer try the secret, unless a
 * newer one tried it too, or found the credential back: then the newer one says how it ended.
 * @returns the probe that is kept
 */
export async function keepProbe(
  { direct }: Reads,
  { handle, probe, isBack }: { handle: string; probe: Receipt; isBack: boolean },
): Promise<Receipt> {
  const rows = await direct.$queryRaw<{ probe: Receipt }[]>`
    UPDATE "credential" SET "probe" = CASE
      WHEN "probe" IS NULL OR ${isBack}::boolean THEN ${JSON.stringify(probe)}::jsonb
      WHEN "probe" ->> 'method' = 'tried' AND ${probe.method}::text <> 'tried' THEN "probe"
      WHEN "probe" ->> 'at' > ${probe.at}::text THEN "probe"
      ELSE ${JSON.stringify(probe)}::jsonb END
    WHERE "handle" = ${handle} AND "state" IN ('destroying', 'destroyed') RETURNING "probe"`;
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
