import { createHash } from 'node:crypto';
import type { JsonObject } from '../domain/evidence/canonicalJson.ts';
import type { SignedDecision } from '../domain/flow/events.ts';
import type { Ledger } from './client.ts';
import { databaseClock } from './databaseClock.ts';
import { appendEvidence, type EvidenceDraft, lockedHeads } from './evidence.ts';
import type { Statements } from './statements.ts';

export type RefusalKind =
  | 'agent.authentication-refused'
  | 'step-up.refused'
  | 'decision.refused'
  | 'proof.refused'
  | 'request.command-refused';

/** Somebody was refused something, and evidence is to tell of it. */
export interface Refusal {
  readonly chain: string;
  readonly kind: RefusalKind;
  /** Who was refused. */
  readonly actor: string;
  readonly requestId?: string;
  readonly identityId?: string;
  /** A word of ours, never what was sent. */
  readonly reason: string;
  /** What more the entry says of the refusal that it tells of. */
  readonly data?: JsonObject;
}

/** Proofs have evidence of their own kind. */
export function refusedKind(verdict: SignedDecision['verdict']): RefusalKind {
  return verdict === 'confirm' ? 'proof.refused' : 'decision.refused';
}

const readCommitted = 'BEGIN ISOLATION LEVEL READ COMMITTED';
/** How many entries one sweep adds, and how many rows it forgets, at most. */
const toldAtOnce = 200;
const forgottenAtOnce = 10_000;

/**
 * Refuses with evidence, at most once a minute: the first refusal is told at once; of its likes (the same chain, kind, actor
 * and reason) in the same minute only the number is kept, which the next entry or `tellSuppressed` tells as `suppressed`.
 * Nobody can flood the log, and no count is lost by a crash.
 */
export async function recordRefusal(ledger: Pick<Ledger, 'direct' | 'evidence'>, refusal: Refusal): Promise<void> {
  const counted = await ledger.direct.$executeRaw`
    UPDATE "refusal" SET "suppressed" = "suppressed" + 1
    WHERE "digest" = ${digestOf(refusal)} AND "minute" = floor(extract(epoch FROM clock_timestamp()) / 60)::int`;
  if (counted > 0) return;
  await ledger.direct.transaction(readCommitted, async (tx) => {
    // The chain before the row, as whoever else locks both.
    const heads = await lockedHeads(tx, [refusal.chain]);
    const drafts = await refusalDrafts(tx, refusal, await databaseClock(tx));
    await appendEvidence(tx, ledger.evidence, drafts, heads);
  });
}

/**
 * The same as part of a transaction that has locked the refusal's chain.
 * @returns what it is to append: nothing when evidence has told of such a refusal in this minute already
 */
export async function refusalDrafts(tx: Statements, refusal: Refusal, at: Date): Promise<readonly EvidenceDraft[]> {
  const { chain, kind, actor, requestId, identityId, reason, data = {} } = refusal;
  const [row] = await tx.$queryRaw<{ suppressed: number; carried: number }[]>`
    INSERT INTO "refusal" AS r ("digest", "minute", "suppressed", "carried", "chain", "kind", "actor", "requestId", "identityId", "reason")
    VALUES (${digestOf(refusal)}, floor(extract(epoch FROM clock_timestamp()) / 60)::int, 0, 0,
      ${chain}, ${kind}, ${actor}, ${requestId ?? null}, ${identityId ?? null}, ${reason})
    ON CONFLICT ("digest") DO UPDATE SET
      "carried" = CASE WHEN r."minute" < EXCLUDED."minute" THEN r."suppressed" ELSE r."carried" END,
      "suppressed" = CASE WHEN r."minute" < EXCLUDED."minute" THEN 0 ELSE r."suppressed" + 1 END,
      "minute" = greatest(r."minute", EXCLUDED."minute")
    RETURNING "suppressed", "carried"`;
  if (row === undefined) throw new TypeError('PostgreSQL answered an INSERT with RETURNING with no row.');
  if (row.suppressed > 0) return [];
  return [draftOf(refusal, at, { ...data, reason, ...(row.carried > 0 ? { suppressed: row.carried } : {}) })];
}

/**
 * Effect: what was counted in minutes that are over is told, one entry for each who, what and why, and forgotten; a bounded
 * number at once. Idempotent. @returns whether there may be more
 */
export async function tellSuppressed(ledger: Pick<Ledger, 'direct' | 'evidence'>): Promise<boolean> {
  const forgotten = await ledger.direct.$executeRaw`
    DELETE FROM "refusal" WHERE "digest" IN (
      SELECT "digest" FROM "refusal"
      WHERE "minute" < floor(extract(epoch FROM clock_timestamp()) / 60)::int AND "suppressed" = 0
      ORDER BY "minute" LIMIT ${forgottenAtOnce}::int FOR UPDATE SKIP LOCKED)`;
  const due = await ledger.direct.$queryRaw<{ digest: Uint8Array; chain: string }[]>`
    SELECT "digest", "chain" FROM "refusal"
    WHERE "minute" < floor(extract(epoch FROM clock_timestamp()) / 60)::int AND "suppressed" > 0
    ORDER BY "minute" LIMIT ${toldAtOnce}::int`;
  for (const { digest, chain } of due)
    await ledger.direct.transaction(readCommitted, async (tx) => {
      const heads = await lockedHeads(tx, [chain]);
      const [counted] = await tx.$queryRaw<SuppressedRow[]>`
        DELETE FROM "refusal"
        WHERE "digest" = ${digest} AND "minute" < floor(extract(epoch FROM clock_timestamp()) / 60)::int
        RETURNING "suppressed", "kind", "actor", "requestId", "identityId", "reason"`;
      if (counted === undefined || counted.suppressed === 0) return;
      const { suppressed, kind, actor, requestId, identityId, reason } = counted;
      const about = {
        ...(requestId === null ? {} : { requestId }),
        ...(identityId === null ? {} : { identityId }),
      };
      const draft = draftOf({ chain, kind, actor, ...about, reason }, await databaseClock(tx), { reason, suppressed });
      await appendEvidence(tx, ledger.evidence, [draft], heads);
    });
  return forgotten === forgottenAtOnce || due.length === toldAtOnce;
}

interface SuppressedRow {
  readonly suppressed: number;
  readonly kind: RefusalKind;
  readonly actor: string;
  readonly requestId: string | null;
  readonly identityId: string | null;
  readonly reason: string;
}

function draftOf(refusal: Refusal, at: Date, data: JsonObject): EvidenceDraft {
  const { chain, kind, actor, requestId, identityId } = refusal;
  return {
    chain,
    kind,
    actor,
    ...(requestId === undefined ? {} : { requestId }),
    ...(identityId === undefined ? {} : { identityId }),
    at,
    data,
  };
}

/** JSON keeps the parts apart. */
function digestOf({ chain, kind, actor, reason }: Refusal): Buffer {
  return createHash('sha256')
    .update(JSON.stringify([chain, kind, actor, reason]), 'utf8')
    .digest();
}
