import type { OpenOrder } from '../domain/flow/open.ts';
import { ownKey } from '../domain/ownKey.ts';
import { RequestMissing } from './advance.ts';
import type { Ledger } from './client.ts';

const principal = 'system:review';

/**
 * The rotation that a completed review asked for: under the review's own trigger, on behalf of whoever asked for it, with
 * one key, so that it is opened once however often it is ordered.
 * @throws RequestMissing
 */
export async function reissueOrder({ prisma }: Pick<Ledger, 'prisma'>, reviewRequestId: string): Promise<OpenOrder> {
  const review = await prisma.request.findUnique({ where: { id: reviewRequestId } });
  if (review === null || review.identityId === null) throw new RequestMissing(reviewRequestId);
  const asker = review.requesterKind === 'person' ? review.requesterId : review.onBehalfOf;
  return {
    ...ownKey(principal, `reissue/${reviewRequestId}`),
    kind: 'rotation',
    identityId: review.identityId,
    principalKind: 'system',
    ...(asker === null ? {} : { onBehalfOf: asker }),
    trigger: review.trigger as OpenOrder['trigger'],
    justification: `review ${reviewRequestId} asked for a new credential`,
  };
}
