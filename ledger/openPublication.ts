import type { OpenResult, PublicationOrder } from '../domain/flow/open.ts';
import { chooseFlow } from './chooseFlow.ts';
import type { Ledger } from './client.ts';
import { publicationGuardFacts } from './gatherFacts.ts';
import { createRequest } from './newRequest.ts';
import { refuse } from './openRefusal.ts';
import { findProposal, lockedSetDigest, wasPublished } from './publications.ts';
import type { Statements } from './statements.ts';

/**
 * Effect: the request to publish what is stored under the order's digest, within the caller's transaction. What the ledger
 * does not hold, and what was checked against another published set than the present one, is refused.
 * @throws PublicationDamaged when what is stored has not that digest
 */
export async function openPublication(tx: Statements, ledger: Ledger, order: PublicationOrder): Promise<OpenResult> {
  const publishedSet = await lockedSetDigest(tx);
  const proposal = await findProposal(tx, order.publication);
  // An order comes through Temporal, whose word for who asks would decide who may approve.
  if (proposal === undefined || proposal.author !== order.principal) {
    return refuse(
      'not-found',
      `The ledger holds nothing of ${order.principal} to publish under ${order.publication}. Send its content to /v1/flows.`,
    );
  }
  if (proposal.publishedSet !== publishedSet) {
    return refuse(
      'published-meanwhile',
      'Other flows were published since this was checked. Send it again, so that it is checked against those.',
    );
  }
  if (proposal.isRollback && !(await wasPublished(tx, proposal.items))) {
    return refuse('never-published', 'A rollback goes back to what was published before; not all of this was.');
  }
  const flow = await chooseFlow(tx, order, [], (asked, person, now) =>
    publicationGuardFacts(proposal, asked, person, now),
  );
  if ('opened' in flow) return flow;
  return createRequest(tx, ledger, order, flow, false);
}
