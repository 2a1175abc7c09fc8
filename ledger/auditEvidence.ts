import type { Found } from './evidenceDamage.ts';
import { EvidenceDamaged, EvidenceRound } from './evidenceRound.ts';
import { checkSignedHistory, EvidenceTampered, requireUnsealedWhole, type Sealing } from './sealerSteps.ts';

export interface AuditProblem {
  readonly name: string;
  readonly message: string;
  /** What may be accepted as it is, where it is a single entry. */
  readonly found: Found | undefined;
}

/**
 * All that the keys can prove about the evidence in the ledger: that it holds what was signed (head, anchor, newest
 * checkpoint), every sealed entry, and every entry that waits to be sealed. Changes nothing; safe beside the worker.
 * @returns the first problem of each of these; whatever keeps it from looking is thrown
 */
export async function auditEvidence(sealing: Sealing): Promise<{ entries: number; problems: readonly AuditProblem[] }> {
  let entries = 0;
  const looks = [
    () => checkSignedHistory(sealing),
    async () => {
      entries = (await new EvidenceRound(sealing.keys).next(sealing.direct, Number.MAX_SAFE_INTEGER)) ?? 0;
    },
    () => requireUnsealedWhole(sealing),
  ];
  const problems: AuditProblem[] = [];
  for (const look of looks) {
    try {
      await look();
    } catch (error) {
      if (!(error instanceof Error) || !findings.test(error.name)) throw error;
      const found = error instanceof EvidenceDamaged || error instanceof EvidenceTampered ? error.found : undefined;
      problems.push({ name: error.name, message: error.message, found });
    }
  }
  return { entries, problems };
}

/** What says something about the evidence; anything else kept us from looking. */
const findings = /^(?:Evidence|Anchor|SealerHead|Checkpoint)/;
