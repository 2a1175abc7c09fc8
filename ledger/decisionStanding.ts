import { caseFileOf, digestOfCaseFile } from '../domain/caseFile.ts';
import { type DecisionKeys, signedByOneOf } from '../domain/decisionSignature.ts';
import { digestOfReview, type Review } from '../domain/decisions.ts';
import type { SignedDecision } from '../domain/flow/events.ts';
import type { Risk } from '../domain/flow/risk.ts';
import type { VoidReason } from '../domain/flow/state.ts';
import type { Decision } from '../prisma/generated/client.ts';
import type { Ledger } from './client.ts';

/** A stored decision, but for what became of it. */
export type StoredDecision = Omit<Decision, 'withdrawnAt'>;

/** The keys by which this ledger knows its decisions. */
export function decisionKeysOf({ evidence, decisionKeys }: Pick<Ledger, 'evidence' | 'decisionKeys'>): DecisionKeys {
  return { personKey: evidence.personKey, verifying: decisionKeys };
}

/**
 * Why a stored decision counts no more, as far as its own row and the present content tell; undefined when they tell nothing.
 * Asked again whenever it is counted, so that write access to the database forges no decision.
 * @param present what the request shows now, at whichever stage
 */
export function voidByContent(keys: DecisionKeys, stored: StoredDecision, present: Review): VoidReason | undefined {
  const signed = signedOf(stored);
  if (signed === undefined || !signedByOneOf(keys)(signed)) return 'bad-signature';
  return signed.digest === digestNow(keys, stored, present) ? undefined : 'content-changed';
}

/** What was signed at this decision's stage would have this digest now. Time alone moves the risk: the one that was shown is put in. */
function digestNow(keys: DecisionKeys, { version, digest, stage, risk }: StoredDecision, present: Review): string {
  const { risk: _moved, ...still } = present;
  const shown = { ...still, stage, ...(risk === null ? {} : { risk: risk as unknown as Risk }) };
  if (version !== 1) return digestOfCaseFile(caseFileOf(keys.personKey, shown).published);
  // The first version kept no risk, and nothing can be compared with a digest over one that is forgotten.
  return present.risk === undefined ? digestOfReview(shown) : digest;
}

/** The row as it was signed; undefined of one that no release has written. */
function signedOf(stored: StoredDecision): SignedDecision | undefined {
  const { id, requestId, stage, revision, approverId, verdict, digest, comment, decidedAt, keyId, signature } = stored;
  const { version, authenticatedAt } = stored;
  if (verdict !== 'approve' && verdict !== 'deny' && verdict !== 'confirm') return undefined;
  if (version !== 1 && version !== 2) return undefined;
  return {
    ...(version === 2 ? { version } : {}),
    ...{ id, requestId, stage, revision, approverId, verdict, digest, comment, keyId, signature },
    decidedAt: decidedAt.toISOString(),
    ...(authenticatedAt === null ? {} : { authenticatedAt: authenticatedAt.toISOString() }),
  };
}
