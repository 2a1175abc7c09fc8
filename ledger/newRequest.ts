import type { OpenOrder, OpenResult, PublicationOrder, RequestOrder, StepUpOrder } from '../domain/flow/open.ts';
import type { ReviewProposal } from '../domain/flow/review.ts';
import { initialFlowState } from '../domain/flow/state.ts';
import type { Prisma } from '../prisma/generated/client.ts';
import { advanceWithin } from './advance.ts';
import type { ChosenFlow } from './chooseFlow.ts';
import type { Ledger, Transaction } from './client.ts';
import { type EvidenceDraft, requestChain } from './evidence.ts';
import { enqueue } from './outbox.ts';

/** What a review is asked to change; an order that names nothing asks for the attestation alone. */
export function reviewed({ proposal = { reissue: false } }: OpenOrder): ReviewProposal {
  return proposal;
}

/** Many of them go on beside each other, each with a run of its own. */
function isAlone(order: RequestOrder): order is StepUpOrder | PublicationOrder {
  return order.kind === 'publication' || order.kind === 'step-up';
}

/** Effect: the request, its evidence and its first step, within the caller's transaction. */
export async function createRequest(
  tx: Transaction,
  ledger: Ledger,
  order: RequestOrder,
  { digest: flowDigest, now }: ChosenFlow,
  atOnce: boolean,
): Promise<OpenResult> {
  const { requestId } = order;
  const registration = 'registration' in order ? order.registration : undefined;
  const about = order.kind === 'publication' ? {} : { identityId: order.identityId };
  await tx.request.create({
    data: {
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
      ...(registration === undefined ? {} : { registration: JSON.parse(JSON.stringify(registration)) }),
      ...(order.kind === 'review' ? { proposal: { ...reviewed(order) } as unknown as Prisma.InputJsonObject } : {}),
      ...(order.kind === 'step-up' ? { stepUp: { ...order.stepUp } } : {}),
      flowState: initialFlowState(now.toISOString()) as unknown as Prisma.InputJsonObject,
      workflowId: `${order.kind}/${isAlone(order) ? requestId : order.identityId}`,
      createdAt: now,
      updatedAt: now,
    },
    select: { id: true },
  });
  // Not nested in the request: Prisma would read both back, one statement more.
  await tx.requester.create({
    data: { requestId, principal: order.principal, onBehalfOf: order.onBehalfOf ?? null, joinedAt: now },
    select: { requestId: true },
  });
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
      ...('subject' in order ? { subject: JSON.parse(JSON.stringify(order.subject)) } : {}),
      ...(registration === undefined ? {} : { registration: JSON.parse(JSON.stringify(registration)) }),
      ...(order.kind === 'publication' ? { publication: order.publication } : {}),
      ...(order.kind === 'review' ? { proposal: JSON.parse(JSON.stringify(reviewed(order))) } : {}),
      ...(order.kind === 'step-up' ? { stepUp: { ...order.stepUp } } : {}),
    },
  };
  const advanced = await advanceWithin(tx, ledger, requestId, { kind: 'opened', id: 'opened', atOnce }, [opened]);
  // At once means past the workflow, which the outbox then starts.
  if (atOnce) await enqueue(tx, { kind: 'nudge', requestId });
  return { opened: true, requestId, ...about, created: true, ...advanced };
}
