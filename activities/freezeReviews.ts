import type { OpenOrder, OpenResult } from '../contracts/open.ts';
import type { Ledger } from '../ledger/client.ts';
import { setDue } from '../ledger/dueWork.ts';
import { nextUnasked, recordAsked, reviewOf } from '../ledger/freezeReviews.ts';

/** So many that a round of the lifecycle has time for them, and for whatever else is due. */
const atOnce = 25;

/**
 * Asks for the next reviews that a responder ordered for a freeze. Each subject is asked once for each order; one that is
 * refused keeps the reason, and does not stop the others.
 * @throws when an outcome is unknown, as while Temporal is down: the row of the order then comes back after its backoff
 * @returns false when nobody is left to ask
 */
export async function askForReviews(
  { ledger, open }: { ledger: Ledger; open: (order: OpenOrder) => Promise<OpenResult> },
  orderId: string,
): Promise<boolean> {
  const { order, identityIds } = await nextUnasked(ledger, orderId, atOnce);
  if (identityIds.length === 0) return false;
  for (const identityId of identityIds)
    await recordAsked(ledger, { orderId, identityId, result: await open(reviewOf(order, identityId)) });
  await setDue(ledger.prisma, 'freeze-reviews', orderId, new Date());
  return true;
}
