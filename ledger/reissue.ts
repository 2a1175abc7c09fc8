import type { OpenOrder } from '../domain/flow/open.ts';
import { ownKey } from '../domain/ownKey.ts';
import { RequestMissing } from './advance.ts';
import type { Ledger } from './client.ts';
import { reissuer } from './reissueOrders.ts';

/**
 * The rotation that a completed review asked for: under the review's own trigger, on behalf of whoever asked for it. One key
 * for each attempt, so that one attempt is opened once however often it is ordered.
 * @param attempt 0 for the first; what ended without a new credential is asked for again
 * @throws RequestMissing
 */
export async function reissueOrder(
  { prisma }: Pick<Ledger, 'prisma'>,
  reviewRequestId: string,
  attempt = 0,
): Promise<OpenOrder> {
  const review = await prisma.request.findUnique({ where: { id: reviewRequestId } });
  if (review === null || review.identityId === null) throw new RequestMissing(reviewRequestId);
  const asker = review.requesterKind === 'person' ? review.requesterId : review.onBehalfOf;
  return {
    ...ownKey(reissuer, `reissue/${reviewRequestId}${attempt === 0 ? '' : `/${attempt}`}`),
    kind: 'rotation',
    identityId: review.identityId,
    principalKind: 'system',
    ...(asker === null ? {} : { onBehalfOf: asker }),
    trigger: review.trigger as OpenOrder['trigger'],
    justification: `review ${reviewRequestId} asked for a new credential`,
    reissues: reviewRequestId,
  };
}
