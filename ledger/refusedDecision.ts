import type { SignedDecision } from '../domain/flow/events.ts';
import type { ProblemSlug } from '../domain/problems.ts';
import type { Ledger } from './client.ts';
import { appendEvidence, requestChain } from './evidence.ts';

/** Proofs have evidence of their own kind. */
export function refusedKind(verdict: SignedDecision['verdict']): string {
  return verdict === 'confirm' ? 'proof.refused' : 'decision.refused';
}

/**
 * Evidence of a decision or proof that was refused before it was signed: who tried, on which request, and why not. Those that
 * `advance` refuses have theirs in its transaction. Not idempotent: each attempt is one entry.
 */
export async function recordRefusedDecision(
  { prisma, evidence }: Pick<Ledger, 'prisma' | 'evidence'>,
  refusal: {
    readonly requestId: string;
    /** Null of a publication. */
    readonly identityId: string | null;
    readonly approverId: string;
    readonly decisionId: string;
    readonly verdict: SignedDecision['verdict'];
    readonly reason: ProblemSlug;
    readonly at: Date;
  },
): Promise<void> {
  const { requestId, identityId, approverId, decisionId, verdict, reason, at } = refusal;
  const data = { event: `decision:${decisionId}`, reason };
  const about = identityId === null ? { requestId } : { requestId, identityId };
  const draft = { chain: requestChain(requestId), kind: refusedKind(verdict), actor: approverId, ...about };
  await prisma.$transaction((tx) => appendEvidence(tx, evidence, [{ ...draft, at, data }]));
}
