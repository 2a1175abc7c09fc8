import { durationMs } from '../domain/flow/duration.ts';
import { idFromKey, keyedId } from '../domain/ids.ts';
import type { Freeze } from '../prisma/generated/client.ts';
import { noticeChannel } from './applyChange.ts';
import type { Ledger } from './client.ts';
import { setDue } from './dueWork.ts';
import { appendEvidence } from './evidence.ts';
import { openFreeze } from './freezes.ts';
import { enqueue } from './outbox.ts';
import { unreviewedSubjects } from './queries/freezes.ts';

/** What Tenure freezes by itself, and how a freeze that nobody ends makes itself heard. */

const principal = 'system:lifecycle';

export interface DepartedOwner {
  readonly ownerId: string;
  /** One word for this leaving: a person who comes back and leaves again is frozen again. */
  readonly cause: string;
}

/** People who left and own active identities, each leaving once: whatever became of its freeze is a responder's doing. */
export async function departedOwners(
  { prisma }: Pick<Ledger, 'prisma'>,
  limit: number,
): Promise<readonly DepartedOwner[]> {
  return prisma.$queryRaw<DepartedOwner[]>`
    SELECT "ownerId", "cause" FROM (
      SELECT "id" AS "ownerId", "leftAt",
        'owner-gone/' || "id" || '/' || floor(extract(epoch FROM "leftAt") * 1000)::bigint AS "cause"
      FROM "person" WHERE NOT "active" AND "leftAt" IS NOT NULL) AS "departed"
    WHERE EXISTS (
      SELECT FROM "person" one JOIN "person" other ON coalesce(other."aliasOf", other."id") = coalesce(one."aliasOf", one."id")
        JOIN "identity" i ON i."ownerId" = other."id" AND i."state" = 'active'
      WHERE one."id" = "departed"."ownerId")
      AND NOT EXISTS (SELECT FROM "freeze" f WHERE f."cause" = "departed"."cause")
    ORDER BY "leftAt" LIMIT ${limit}`;
}

/** Effect: what this person owns is frozen until somebody owns it. Idempotent by the cause. */
export async function freezeDepartedOwner(ledger: Ledger, { ownerId, cause }: DepartedOwner): Promise<Freeze> {
  return openFreeze(ledger, {
    // The cause names a person: a plain hash of it would let whoever guesses them see that they were right.
    id: keyedId(ledger.evidence.personKey, 'freeze', { principal, key: cause }),
    ownerIds: [ownerId],
    reason: `${ownerId} is no longer active. Each identity needs a review that names a new owner.`,
    by: principal,
    cause,
  });
}

/**
 * Effect: an identity whose owner was asked for a review and has let its date pass is frozen until it is reviewed.
 * Idempotent by identity and by how many reviews it has had.
 * @throws ReviewNotAsked when nobody was asked: that is no fault of the owner's, and freezes nothing
 */
export async function freezeMissedReview(
  ledger: Ledger,
  { id, reviews }: { id: string; reviews: number },
): Promise<Freeze> {
  const last = await ledger.prisma.request.findFirst({
    where: { identityId: id, kind: 'review' },
    orderBy: { createdAt: 'desc' },
    select: { state: true },
  });
  if (last === null || last.state === 'completed') throw new ReviewNotAsked(id);
  const cause = `review-missed/${id}/${reviews}`;
  return openFreeze(ledger, {
    id: idFromKey('freeze', { principal, key: cause }),
    identityIds: [id],
    reason: 'Its review was due and is not complete. A completed review thaws it.',
    by: principal,
    cause,
  });
}

/** A review fell due and no request asked the owner for it. */
export class ReviewNotAsked extends Error {
  override readonly name = 'ReviewNotAsked';
  constructor(identityId: string) {
    super(
      `The review of identity ${identityId} is due and nobody was asked for it, so nothing was frozen. See that a published flow covers its review.`,
    );
  }
}

/**
 * Effect: a freeze that is still in force at its time says so, to responders and to who opened it, and will again. It
 * never reopens by itself. Idempotent within its period.
 * @returns false when there is nothing to escalate any more
 */
export async function escalateFreeze(ledger: Ledger, freezeId: string): Promise<boolean> {
  return ledger.prisma.$transaction(async (tx) => {
    const [freeze] = await tx.$queryRaw<(Freeze & { now: Date })[]>`
      SELECT *, clock_timestamp() AS "now" FROM "freeze" WHERE "id" = ${freezeId} FOR NO KEY UPDATE`;
    if (freeze === undefined || freeze.liftedAt !== null || freeze.escalateAfter === null) return false;
    const { now, openedBy } = freeze;
    const periodMs = durationMs(freeze.escalateAfter);
    const dueMs = (freeze.escalatedAt ?? freeze.createdAt).getTime() + periodMs;
    if (dueMs > now.getTime()) {
      await setDue(tx, 'freeze-escalation', freezeId, new Date(dueMs));
      return true;
    }
    const escalations = freeze.escalations + 1;
    await tx.freeze.update({ where: { id: freezeId }, data: { escalations, escalatedAt: now } });
    const { count } = await unreviewedSubjects(tx, freezeId);
    await appendEvidence(tx, ledger.evidence, [
      {
        chain: `freeze/${freezeId}`,
        kind: 'freeze.escalated',
        actor: principal,
        at: now,
        data: { freezeId, escalations, unreviewed: count, ...noticeChannel },
      },
    ]);
    await enqueue(tx, { kind: 'notify-freeze', freezeId, to: ['role:responder', openedBy], about: 'freeze-escalated' });
    await setDue(tx, 'freeze-escalation', freezeId, new Date(now.getTime() + periodMs));
    return true;
  });
}
