import { type EvidenceDraft, requestChain } from './evidence.ts';
import { insertNewRow } from './rows.ts';
import type { Statements } from './statements.ts';

/**
 * Who asked for a request, joined it, or asked for what it took the place of: none of them may decide where the flow
 * separates (promise 4). The rows name a machine once, and it may ask for several people, so each of these is kept from
 * deciding by a row of their own.
 */

/** Effect: one more requester, and the person behind, also when the same machine asked for somebody else before. Idempotent. */
export async function addRequester(
  tx: Statements,
  { requestId, principal, onBehalfOf }: { requestId: string; principal: string; onBehalfOf: string | null },
): Promise<void> {
  await insertNewRow(tx, 'requester', { requestId, principal, onBehalfOf });
  if (onBehalfOf === null) return;
  await tx.$executeRaw`
    INSERT INTO "requester" ("requestId", "principal", "onBehalfOf") SELECT ${requestId}, ${onBehalfOf}, ${onBehalfOf}
    WHERE NOT EXISTS (SELECT FROM "requester" r WHERE r."requestId" = ${requestId} AND r."onBehalfOf" = ${onBehalfOf})
    ON CONFLICT ("requestId", "principal") DO UPDATE SET "onBehalfOf" = excluded."onBehalfOf"`;
}

/**
 * Effect: whoever asked for those requests counts as a requester of this one too. Idempotent.
 * @returns evidence of it, for whoever appends that of the step
 */
export async function carryRequesters(
  tx: Statements,
  { requestId, identityId, from, at }: { requestId: string; identityId: string; from: readonly string[]; at: Date },
): Promise<readonly EvidenceDraft[]> {
  const rows = await tx.$queryRaw<{ requestId: string; principal: string; onBehalfOf: string | null }[]>`
    SELECT "requestId", "principal", "onBehalfOf" FROM "requester" WHERE "requestId" = ANY(${[...from]}::text[])
    ORDER BY "joinedAt", "principal"`;
  for (const { principal, onBehalfOf } of rows) await addRequester(tx, { requestId, principal, onBehalfOf });
  return rows.map(({ requestId: carriedFrom, principal: actor, onBehalfOf }) => ({
    chain: requestChain(requestId),
    kind: 'request.joined',
    actor,
    requestId,
    identityId,
    at,
    data: { carriedFrom, ...(onBehalfOf === null ? {} : { onBehalfOf }) },
  }));
}
