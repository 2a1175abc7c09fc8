import type { Approver, Review } from '../domain/decisions.ts';
import type { DecisionFacts, LedgerFacts, VoidDecision } from '../domain/flow/state.ts';
import type { Requester } from '../prisma/generated/client.ts';
import type { Ledger } from './client.ts';
import { decisionKeysOf, type StoredDecision, voidByContent } from './decisionStanding.ts';
import { type RequestRecord, voidByRecord, voidForAll } from './requestRecord.ts';

/** What decisions are held against when they are counted. */
export interface Counting {
  /** What the request shows now. */
  present(): Review;
  /** Undefined where nothing is counted: the row says that its effect has happened, or never will. */
  readonly record: RequestRecord | undefined;
  readonly requesters: readonly Pick<Requester, 'principal' | 'onBehalfOf'>[];
}

/** Those that count, and why the others do not: asked each time, since whoever writes to the database may have changed them. */
export function countedDecisions(
  ledger: Pick<Ledger, 'evidence' | 'decisionKeys'>,
  given: readonly { readonly stored: StoredDecision; readonly approver: Approver }[],
  { present, record, requesters }: Counting,
): Pick<LedgerFacts, 'decisions' | 'voidDecisions'> {
  // Not all of them: whoever may change what the row says would have every row that looks like an approval counted.
  if (given.length === 0 || record === undefined) return { decisions: [] };
  const keys = decisionKeysOf(ledger);
  const review = present();
  const all = voidForAll(record, requesters, ledger.evidence);
  const decisions: DecisionFacts[] = [];
  const voidDecisions: VoidDecision[] = [];
  for (const { stored, approver } of given) {
    const because = all ?? voidByContent(keys, stored, review) ?? voidByRecord(record, stored.id);
    const { id, stage, verdict } = factsOf({ stored, approver });
    if (because === undefined) decisions.push(factsOf({ stored, approver }));
    else voidDecisions.push({ id, stage, verdict, approverId: stored.approverId, because });
  }
  return { decisions, ...(voidDecisions.length === 0 ? {} : { voidDecisions }) };
}

function factsOf({
  stored,
  approver,
}: {
  readonly stored: StoredDecision;
  readonly approver: Approver;
}): DecisionFacts {
  const { version, id, stage, verdict, digest, authenticatedAt } = stored;
  return {
    // PostgreSQL keeps it so; what another writer put there has no signature.
    ...{ id, stage, approver, verdict: verdict as DecisionFacts['verdict'] },
    ...(version === 1 ? {} : { digest }),
    ...(authenticatedAt === null ? {} : { authenticatedAt: authenticatedAt.toISOString() }),
  };
}
