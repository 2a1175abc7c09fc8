import type { Facts } from '../domain/flow/facts.ts';
import type { RequestOrder } from '../domain/flow/open.ts';
import type { Transaction } from './client.ts';
import { flowFor } from './flows.ts';
import type { AskedRequest, PersonOf } from './gatherFacts.ts';
import { type Refusal, refuse } from './openRefusal.ts';

/**
 * The published flow that an order is to run under, or why there is none.
 * @param named whom its guards may read besides those who ask; who is not in the directory counts as inactive
 */
export async function chooseFlow(
  tx: Transaction,
  order: RequestOrder,
  named: readonly (string | undefined)[],
  factsOf: (asked: AskedRequest, person: PersonOf, now: Date) => Facts,
): Promise<{ readonly digest: string } | Refusal> {
  const ids = [order.principal, order.onBehalfOf, ...named].filter((id) => id !== undefined);
  const people = await tx.person.findMany({ where: { id: { in: ids } } });
  const asked = {
    kind: order.kind,
    trigger: order.trigger,
    justification: order.justification,
    requesterId: order.principal,
    requesterKind: order.principalKind,
    onBehalfOf: order.onBehalfOf ?? null,
  };
  const person: PersonOf = (id) => people.find((known) => known.id === id) ?? { id, active: false, groups: [] };
  const chosen = await flowFor(tx, order.kind, factsOf(asked, person, new Date()));
  return 'found' in chosen ? { digest: chosen.found.digest } : refuse(chosen.slug, chosen.detail);
}
