import type { IdentityKind } from '../domain/flow/language.ts';
import { holds } from './freezeSubjects.ts';
import type { Statements } from './statements.ts';

/** Who a key belongs to and whether it may be used, by the ledger as it is now. */
export interface KnownApiKey {
  readonly handle: string;
  readonly digest: Uint8Array<ArrayBuffer>;
  readonly identityId: string;
  readonly version: number;
  readonly name: string;
  readonly kind: IdentityKind;
  readonly environment: string;
  readonly integration: string;
  /** Of the key, as far as the identity still has them: narrowed, they are gone at once. */
  readonly scopes: readonly string[];
  readonly validUntil: Date;
  readonly standing: ApiKeyStanding;
  /** The last recorded use is more than half a minute ago. */
  readonly isUseDue: boolean;
}

export const apiKeyStandings = ['active', 'frozen', 'revoked', 'expired', 'not-issued'] as const;
/** `frozen`, `revoked` and `expired` say why it is inactive; `not-issued` that its issuance is not committed, or was undone. */
export type ApiKeyStanding = (typeof apiKeyStandings)[number];

/**
 * The key with this hash, in one statement, never cached: a revocation, a freeze and a narrowing count from their commit on.
 * @returns undefined when no installation of this ledger made it, or the ledger does not know its identity
 */
export async function findVerifiableKey(
  table: Pick<Statements, '$queryRaw'>,
  digest: Uint8Array<ArrayBuffer>,
): Promise<KnownApiKey | undefined> {
  const [row] = await table.$queryRaw<KnownApiKey[]>`
    SELECT k."handle", k."digest", k."identityId", k."version", i."name", i."kind", i."environment", i."integration",
      ARRAY(SELECT s FROM unnest(k."scopes") AS s WHERE s = ANY(i."scopes")) AS "scopes", k."validUntil",
      CASE
        WHEN i."state" <> 'active' OR c."state" IN ('destroying', 'destroyed') THEN 'revoked'
        WHEN k."validUntil" <= clock_timestamp() THEN 'expired'
        WHEN c."state" NOT IN ('current', 'retiring') THEN 'not-issued'
        WHEN EXISTS (SELECT FROM "freeze" f WHERE ${holds}) THEN 'frozen'
        ELSE 'active' END AS "standing",
      k."lastUsedAt" IS NULL OR k."lastUsedAt" < clock_timestamp() - interval '30 seconds' AS "isUseDue"
    FROM "api_key" k
    JOIN "identity" i ON i."id" = k."identityId"
    JOIN "credential" c ON c."handle" = k."handle"
    WHERE k."digest" = ${digest}`;
  return row;
}

/** Records a use, by the database's clock. Ask only when `isUseDue`: a busy key then costs a write each half minute. */
export async function recordApiKeyUse(table: Pick<Statements, '$executeRaw'>, handle: string): Promise<void> {
  await table.$executeRaw`UPDATE "api_key" SET "lastUsedAt" = clock_timestamp() WHERE "handle" = ${handle}`;
}
