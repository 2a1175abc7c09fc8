import type { Decision, Identity, Pause, Prisma, Request, Requester } from '../../prisma/generated/client.ts';
import type { Statements } from '../statements.ts';
import { type AsJson, identityOf, instantOrNull, requestOf } from '../storedRows.ts';

/** A request with what belongs to it. */
export type RequestRow = Request & {
  /** Null of a publication. */
  readonly identity: Identity | null;
  readonly publication: { readonly digest: string; readonly proposal: Prisma.JsonValue } | null;
  readonly requesters: readonly Requester[];
  readonly decisions: readonly Decision[];
  /** Those that are not lifted. */
  readonly pauses: readonly Pause[];
};

interface Found {
  readonly request: AsJson<Request>;
  readonly identity: AsJson<Identity> | null;
  readonly publication: RequestRow['publication'];
  readonly requesters: readonly AsJson<Requester>[];
  readonly decisions: readonly AsJson<Decision>[];
  readonly pauses: readonly AsJson<Pause>[];
  /** Whether any freeze is in force at all. */
  readonly isAnyFrozen: boolean;
}

/**
 * One request in one statement: every opening and every approver waits for it.
 * @returns undefined when there is none; `isAnyFrozen`: whether any freeze is in force at all, as only then it is worth asking
 *   which hold this one
 */
export async function requestRow(
  tx: Statements,
  id: string,
): Promise<{ readonly row: RequestRow; readonly isAnyFrozen: boolean } | undefined> {
  const [found] = await tx.$queryRaw<Found[]>`
    SELECT to_jsonb(r) AS "request", to_jsonb(i) AS "identity",
      (SELECT jsonb_build_object('digest', p."digest", 'proposal', p."proposal")
         FROM "publication" p WHERE p."digest" = r."publicationDigest") AS "publication",
      (SELECT coalesce(jsonb_agg(to_jsonb(q) ORDER BY q."joinedAt"), '[]')
         FROM "requester" q WHERE q."requestId" = r."id") AS "requesters",
      (SELECT coalesce(jsonb_agg(to_jsonb(d) ORDER BY d."decidedAt", d."id"), '[]')
         FROM "decision" d WHERE d."requestId" = r."id") AS "decisions",
      (SELECT coalesce(jsonb_agg(to_jsonb(p) ORDER BY p."createdAt"), '[]')
         FROM "pause" p WHERE p."requestId" = r."id" AND p."liftedAt" IS NULL) AS "pauses",
      EXISTS (SELECT FROM "freeze" WHERE "liftedAt" IS NULL) AS "isAnyFrozen"
    FROM "request" r LEFT JOIN "identity" i ON i."id" = r."identityId" WHERE r."id" = ${id}`;
  if (found === undefined) return undefined;
  const { request, identity, publication, requesters, decisions, pauses, isAnyFrozen } = found;
  const row = {
    ...requestOf(request),
    identity: identity === null ? null : identityOf(identity),
    publication,
    requesters: requesters.map((each) => ({ ...each, joinedAt: new Date(each.joinedAt) })),
    decisions: decisions.map((each) => ({
      ...each,
      decidedAt: new Date(each.decidedAt),
      authenticatedAt: instantOrNull(each.authenticatedAt),
      withdrawnAt: instantOrNull(each.withdrawnAt),
    })),
    pauses: pauses.map((each) => ({
      ...each,
      createdAt: new Date(each.createdAt),
      liftedAt: instantOrNull(each.liftedAt),
    })),
  };
  return { row, isAnyFrozen };
}
