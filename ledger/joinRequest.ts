import { canonicalJson } from '../domain/evidence/canonicalJson.ts';
import type { Trigger } from '../domain/flow/facts.ts';
import type { OpenOrder, OpenResult } from '../domain/flow/open.ts';
import type { FlowState } from '../domain/flow/state.ts';
import { outranks } from '../domain/flow/superseding.ts';
import { isFinalRequestState, mintStates, type RequestState } from '../domain/states.ts';
import type { Request } from '../prisma/generated/client.ts';
import { advanceWithin } from './advance.ts';
import type { Ledger } from './client.ts';
import { databaseClock } from './databaseClock.ts';
import { appendEvidence, requestChain } from './evidence.ts';
import { reviewed } from './newRequest.ts';
import { type Refusal, Refused } from './openRefusal.ts';
import { enqueue } from './outbox.ts';
import { proposalOf } from './proposal.ts';
import { carryReissue } from './reissueOrders.ts';
import { addRequester, carryRequesters } from './requesters.ts';
import { updateRow } from './rows.ts';
import type { Statements } from './statements.ts';

/** Of which kinds one identity has one open request at a time, as PostgreSQL's partial indexes have it. */
function rivalsOf(kind: OpenOrder['kind']): OpenOrder['kind'][] {
  return kind === 'revocation' || kind === 'review' ? [kind] : ['onboarding', 'rotation'];
}

/** The open request that one of this kind on the identity would join, or has to wait for. */
export async function runningRequest(
  tx: Statements,
  identityId: string,
  kind: OpenOrder['kind'],
): Promise<Request | undefined> {
  const requests = await tx.$queryRaw<Request[]>`
    SELECT * FROM "request"
    WHERE "identityId" = ${identityId} AND "kind" = ANY(${rivalsOf(kind)}::text[]) AND "finishedAt" IS NULL`;
  return requests.find(({ state }) => !isFinalRequestState(state as RequestState));
}

function isRunning({ id }: Request, detail: string): Refusal {
  return { opened: false, slug: 'request-running', detail, runningRequestId: id };
}

/**
 * Effect: a rotation that outranks the one that only waits takes its place: that one ends, and whoever asked for it and paused
 * it asks for and pauses this one.
 * @returns undefined, and nothing was written, when it does not outrank it or that one has begun
 * @throws Refused, which rolls everything back, when the new one would end at its first step: it takes nobody's place
 */
export async function supersede(
  tx: Statements,
  ledger: Ledger,
  order: OpenOrder,
  running: Request,
  create: (supersedes: string) => Promise<OpenResult>,
): Promise<OpenResult | undefined> {
  if (order.kind !== 'rotation' || running.kind !== 'rotation') return undefined;
  // Anybody with access to Temporal can say that it is an incident; what the ledger owes, only the ledger says.
  if (order.trigger === 'incident' && order.reissues === undefined) return undefined;
  if (!outranks(order.trigger, running.trigger as Trigger) || (await hasBegun(tx, running))) return undefined;
  const { requestId, principal: by, trigger } = order;
  const event = { kind: 'superseded', id: `superseded:${requestId}`, by, requestId, trigger } as const;
  const ended = await advanceWithin(tx, ledger, running.id, event);
  if (!ended.verdict.accepted) throw new Refused(isRunning(running, ended.verdict.detail));
  const result = await create(running.id);
  if (result.opened && isFinalRequestState(result.plan.state) && result.plan.state !== 'completed') {
    const detail = `Request ${running.id} waits on identity ${order.identityId}, and this one would be ${result.plan.state} at once. Nothing was written: wait for that one.`;
    throw new Refused(isRunning(running, detail));
  }
  return result;
}

async function hasBegun(tx: Statements, running: Request): Promise<boolean> {
  const { effect } = running.flowState as unknown as FlowState;
  const mints = await tx.$queryRaw<unknown[]>`
    SELECT FROM "credential" WHERE "requestId" = ${running.id} AND "state" = ANY(${[...mintStates]}::text[])`;
  return effect.committedVersion !== undefined || mints.length > 0;
}

/** A second trigger joins what runs only under the same flow and before `begin`; whoever joins becomes a requester. */
export async function join(
  tx: Statements,
  ledger: Ledger,
  order: OpenOrder,
  running: Request,
  flowDigest: string,
  atOnce: boolean,
): Promise<OpenResult> {
  const { effect } = running.flowState as unknown as FlowState;
  const mayJoin =
    running.kind === order.kind &&
    running.flowDigest === flowDigest &&
    !(await hasBegun(tx, running)) &&
    !effect.revoked &&
    wantsTheSame(order, running);
  if (!mayJoin && !(atOnce && running.kind === 'revocation'))
    return isRunning(
      running,
      `Request ${running.id} (${running.kind}) is running on identity ${order.identityId}. Wait for it, or cancel it.`,
    );
  const { principal, onBehalfOf = null, idempotencyKey: key, reissues } = order;
  await addRequester(tx, { requestId: running.id, principal, onBehalfOf });
  const at = await databaseClock(tx);
  const { identityId } = order;
  const carried =
    reissues === undefined
      ? []
      : await carryRequesters(tx, { requestId: running.id, identityId, from: [reissues], at });
  if (reissues !== undefined) await carryReissue(tx, reissues, running.id);
  await updateRow(tx, 'idempotent_call', { principal, key }, { requestId: running.id });
  await appendEvidence(tx, ledger.evidence, [
    {
      chain: requestChain(running.id),
      kind: 'request.joined',
      actor: order.principal,
      requestId: running.id,
      identityId: order.identityId,
      at,
      data: { trigger: order.trigger, ...(order.onBehalfOf === undefined ? {} : { onBehalfOf: order.onBehalfOf }) },
    },
    ...carried,
  ]);
  if (atOnce && !effect.revoked) {
    await advanceWithin(tx, ledger, running.id, { kind: 'opened', id: 'opened-at-once', atOnce: true });
    await enqueue(tx, { kind: 'nudge', requestId: running.id });
  }
  return answer(tx, ledger, running.id, false);
}

/** Two reviews are one only if they would change the same, and two rotations if they would register the same. */
function wantsTheSame(order: OpenOrder, running: Request): boolean {
  if (canonicalJson({ is: order.registration ?? null }) !== canonicalJson({ is: running.registration })) return false;
  if (order.kind !== 'review') return true;
  return canonicalJson({ ...reviewed(order) }) === canonicalJson({ ...proposalOf(running) });
}

/** The request as it stands: for a repeated order and for one that joined. */
export async function answer(tx: Statements, ledger: Ledger, requestId: string, created: boolean): Promise<OpenResult> {
  const advanced = await advanceWithin(tx, ledger, requestId, { kind: 'nudge', id: 'nudge' });
  const [about] = await tx.$queryRaw<{ identityId: string | null }[]>`
    SELECT "identityId" FROM "request" WHERE "id" = ${requestId}`;
  const identityId = about?.identityId ?? null;
  return { opened: true, requestId, ...(identityId === null ? {} : { identityId }), created, ...advanced };
}
