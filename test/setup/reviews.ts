import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { OpenOrder } from '../../contracts/open.ts';
import type { FreezeOrder } from '../../ledger/freezes.ts';
import { openFreeze } from '../../ledger/freezes.ts';
import type { ByHand } from './byHand.ts';
import type { TestInstallation } from './installation.ts';
import { onboardingOrder, openOrder } from './orders.ts';

/** The flow that is shipped for reviews, for tests whose other flows are plain. */
export const reviewFlow = readFileSync(new URL('../../flows/review-default.flow.yaml', import.meta.url), 'utf8');

export const at = (name: string): string => `${name}@tenure.example`;

/** What tests of freezes and reviews do by hand, one step at a time. */
export function underReview(installation: TestInstallation, hand: ByHand) {
  const { prisma } = installation.ledger;
  return {
    /** An active person whom no other test has to do with. */
    async newPerson(): Promise<string> {
      const id = at(`p${randomUUID().slice(0, 8)}`);
      await prisma.person.create({ data: { id, name: id, source: 'a test' } });
      return id;
    },
    async onboarded(change: Parameters<typeof onboardingOrder>[0] = {}): Promise<string> {
      const { requestId, identityId } = await hand.open(onboardingOrder(change));
      await hand.carryOutAll(requestId);
      return identityId;
    },
    rotate: (identityId: string) => hand.open(openOrder('rotation', { identityId })),
    async freeze(order: Partial<FreezeOrder>): Promise<string> {
      const id = randomUUID();
      await openFreeze(installation.ledger, { id, reason: 'incident 21', by: at('responder'), ...order });
      return id;
    },
    review: (identityId: string, proposal: NonNullable<OpenOrder['proposal']> = { reissue: false }) =>
      hand.open(openOrder('review', { identityId, proposal, trigger: 'incident' })),
    approve: (requestId: string, by: string) => hand.decide({ requestId, by }),
    /** Evidence of one chain, by kind, in order. */
    async evidenceOf(chain: string): Promise<string[]> {
      const entries = await prisma.evidenceEntry.findMany({ where: { chain }, orderBy: { position: 'asc' } });
      return entries.map(({ body }) => (JSON.parse(body) as { kind: string }).kind);
    },
  };
}
