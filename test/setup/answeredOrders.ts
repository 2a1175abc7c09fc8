import type { EffectOrder, EffectOutcome } from '../../contracts/plan.ts';
import type { Ledger } from '../../ledger/client.ts';
import { beginOrder, recordOutcome } from '../../ledger/effectOrders.ts';

/** Answers an order as its activity would, without asking issuer or store. False: it counts no more, or is answered. */
export async function answerOrder(
  ledger: Pick<Ledger, 'direct'>,
  { activity, input }: EffectOrder,
  outcome: EffectOutcome,
): Promise<boolean> {
  const order = await beginOrder(ledger, activity, input.nonce);
  return order !== undefined && !order.isAnswered && recordOutcome(ledger, order, outcome);
}
