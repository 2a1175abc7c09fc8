import type { JsonObject } from '../domain/evidence/canonicalJson.ts';
import type { OpenOrder, OpenResult, PublicationOrder, RequestOrder, StepUpOrder } from '../domain/flow/open.ts';
import type { ReviewProposal } from '../domain/flow/review.ts';
import { initialFlowState } from '../domain/flow/state.ts';
import { advanceWithin } from './advance.ts';
import type { ChosenFlow } from './chooseFlow.ts';
import type { Ledger } from './client.ts';
import { type EvidenceDraft, requestChain } from './evidence.ts';
import { enqueue } from './outbox.ts';
import { carryRequesters } from './requesters.ts';
import { insertRow } from './rows.ts';
import type { Statements } from './statements.ts';

/** What a review is asked to change; an order that names nothing asks for the attestation alone. */
export function reviewed({ proposal = { reissue: false } }: OpenOrder): ReviewProposal {
  return proposal;
}

/** Many of them go on beside each other, each with a run of its own. */
function isAlone(order: RequestOrder): order is StepUpOrder | PublicationOrder {
  return order.kind === 'publication' || order.kind === 'step-up';
}

/** What a new request takes over from others. */
export interface Inherited {
  /** Requests whose requesters count as its own. */
  readonly requestersOf: readonly string[];
  /** The request whose place it takes: its pauses hold on. */
  readonly supersedes?: string;
}

/** Effect: the request, its evidence and its first step, within the caller's transaction. */
export async function createRequest(
  tx: Statements,
  ledger: Ledger,
  order: RequestOrder,
  { digest: flowDigest, now }: ChosenFlow,
  atOnce: boolean,
  { requestersOf, supersedes }: Inherited = { requestersOf: [] },
): Promise<OpenResult> {
  const { requestId } = order;
  const registration = 'registration' in order ? order.registration : undefined;
  const about = order.kind === 'publication' ? {} : { identityId: order.identityId };
  const request = {
    id: requestId,
    kind: order.kind,
    ...about,
    ...(order.kind === 'publication' ? { publicationDigest: order.publication } : {}),
    flowDigest,
    state: 'evaluating',
    trigger: order.trigger,
    requesterId: order.principal,
    requesterKind: order.principalKind,
    onBehalfOf: order.onBehalfOf ?? null,
    justification: order.justification,
    ...(registration === undefined ? {} : { registration: plain(registration) }),
    ...(order.kind === 'review' ? { proposal: plain(reviewed(order)) } : {}),
    ...(order.kind === 'step-up' ? { stepUp: plain(order.stepUp) } : {}),
    flowState: plain(initialFlowState(now.toISOString())),
    workflowId: `${order.kind}/${isAlone(order) ? requestId : order.identityId}`,
    createdAt: now,
    updatedAt: now,
  };
  const requester = { requestId, principal: order.principal, onBehalfOf: order.onBehalfOf ?? null, joinedAt: now };
  const opened: EvidenceDraft = {
    chain: requestChain(requestId),
    kind: 'request.opened',
    actor: order.principal,
    requestId,
    ...about,
    at: now,
    data: {
      request: order.kind,
      trigger: order.trigger,
      flow: flowDigest,
      justification: order.justification,
      ...(order.onBehalfOf === undefined ? {} : { onBehalfOf: order.onBehalfOf }),
      ...('subject' in order && order.subject !== undefined ? { subject: plain(order.subject) } : {}),
      ...(registration === undefined ? {} : { registration: plain(registration) }),
      ...(order.kind === 'publication' ? { publication: order.publication } : {}),
      ...(order.kind === 'review' ? { proposal: plain(reviewed(order)) } : {}),
      ...(order.kind === 'step-up' ? { stepUp: { ...order.stepUp } } : {}),
      ...('reissues' in order && order.reissues !== undefined ? { reissues: order.reissues } : {}),
      ...(supersedes === undefined ? {} : { supersedes }),
    },
  };
  if (requestersOf.length > 0 && order.kind !== 'publication') {
    const { identityId } = order;
    await Promise.all([insertRow(tx, 'request', request), insertRow(tx, 'requester', requester)]);
    const joined = await carryRequesters(tx, { requestId, identityId, from: requestersOf, at: now });
    if (supersedes !== undefined) await carryPauses(tx, { requestId, from: supersedes });
    const event = { kind: 'opened', id: 'opened', atOnce } as const;
    const advanced = await advanceWithin(tx, ledger, requestId, event, [opened, ...joined]);
    return { opened: true, requestId, ...about, created: true, ...advanced };
  }
  // In this order and without waiting: the step reads what was just written.
  const [, , advanced] = await Promise.all([
    insertRow(tx, 'request', request),
    insertRow(tx, 'requester', requester),
    advanceWithin(tx, ledger, requestId, { kind: 'opened', id: 'opened', atOnce }, [opened]),
    // At once means past the workflow, which the outbox then starts.
    atOnce ? enqueue(tx, { kind: 'nudge', requestId }) : undefined,
  ]);
  return { opened: true, requestId, ...about, created: true, ...advanced };
}

/** Effect: whoever paused that request and has not resumed holds this one. */
function carryPauses(tx: Statements, { requestId, from }: { requestId: string; from: string }): Promise<unknown> {
  return tx.$executeRaw`
    INSERT INTO "pause" ("id", "requestId", "principal", "reason", "createdAt")
    SELECT gen_random_uuid()::text, ${requestId}, "principal", "reason", "createdAt" FROM "pause"
    WHERE "requestId" = ${from} AND "liftedAt" IS NULL`;
}

/** As JSON has it: members that are undefined are none. */
function plain(value: object): JsonObject {
  return JSON.parse(JSON.stringify(value)) as JsonObject;
}
