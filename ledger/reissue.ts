import { createHash } from 'node:crypto';
import type { OpenOrder } from '../domain/flow/open.ts';
import { idFromKey } from '../domain/ids.ts';
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
  const key = `reissue/${reviewRequestId}`;
  return {
    kind: 'rotation',
    requestId: idFromKey('request', { principal, key }),
    identityId: review.identityId,
    principal,
    principalKind: 'system',
    ...(asker === null ? {} : { onBehalfOf: asker }),
    idempotencyKey: key,
    bodyDigest: createHash('sha256').update(key).digest('hex'),
    trigger: review.trigger as OpenOrder['trigger'],
    justification: `review ${reviewRequestId} asked for a new credential`,
  };
}
