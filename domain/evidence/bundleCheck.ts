import type { ChainHead } from './chainHead.ts';
import type { Checkpoint } from './checkpoint.ts';
import { DecisionCheck, type DecisionCounts } from './decisionCheck.ts';
import { type ExportProblem, parseEntry } from './exportCheck.ts';
import { logOf } from './logOrigin.ts';
import { inclusionHolds } from './merkleProofs.ts';
import { leafHash } from './merkleTree.ts';

/** One line of a bundle with what proves it. */
export interface ProvenEntry {
  readonly leaf: Uint8Array;
  readonly leafIndex: number;
  readonly hashes: readonly Uint8Array[];
}

export interface BundleReport {
  readonly ok: boolean;
  readonly origin: string;
  readonly chain: string;
  /** Of the request: its own chain's, and others that name it. */
  readonly entries: number;
  readonly size: number;
  readonly decisions: DecisionCounts;
  readonly problems: readonly ExportProblem[];
}

/**
 * Checks the evidence of one request on its own: that each entry is in the log that the checkpoint signs, that the chain is
 * whole from its beginning to the end that the log's own key vouches for, and every decision. Entries come in the order of the log.
 */
export function checkBundle(checkpoint: Checkpoint, head: ChainHead, entries: Iterable<ProvenEntry>): BundleReport {
  const problems: ExportProblem[] = [];
  const decisions = new DecisionCheck();
  const requestId = head.chain.replace(/^request\//, '');
  let ofChain = 0;
  let others = 0;
  let last = -1;
  let line = 0;
  const told = (code: ExportProblem['code'], message: string) => void problems.push({ code, message, line });
  for (const { leaf, leafIndex, hashes } of entries) {
    line++;
    const claim = {
      leaf: leafHash(leaf),
      index: leafIndex,
      size: checkpoint.size,
      proof: hashes,
      root: checkpoint.root,
    };
    if (leafIndex <= last) told('chain-broken', 'The entry is not in the order of the log, or doubled.');
    if (!inclusionHolds(claim))
      told('root-differs', `The log that was signed does not hold this entry at ${leafIndex}.`);
    last = leafIndex;
    const entry = parseEntry(leaf);
    if ('code' in entry) {
      problems.push({ ...entry, line });
      continue;
    }
    if (entry.installation !== logOf(checkpoint.origin).installation)
      told('other-installation', `The entry is of ${entry.installation}, the checkpoint of ${checkpoint.origin}.`);
    if (entry.chain === head.chain) {
      if (entry.position !== ofChain)
        told('chain-broken', `Position ${entry.position} stands where ${ofChain} must follow: an entry is missing.`);
      ofChain = entry.position + 1;
    } else if (entry.requestId === requestId) others++;
    const unverified = decisions.take(entry);
    if (unverified !== undefined) told('decision-unverified', unverified);
  }
  if (ofChain !== head.entries)
    problems.push({
      code: ofChain < head.entries ? 'entries-missing' : 'entries-extra',
      message: `The log holds ${head.entries} entries of ${head.chain}, the bundle ${ofChain}.`,
    });
  if (others !== head.others)
    problems.push({
      code: others < head.others ? 'entries-missing' : 'entries-extra',
      message: `The log holds ${head.others} entries elsewhere that name the request, the bundle ${others}.`,
    });
  if (head.size !== checkpoint.size || !head.root.equals(checkpoint.root))
    problems.push({ code: 'root-differs', message: 'The end of the chain and the checkpoint are of different logs.' });
  return {
    ok: problems.length === 0,
    origin: checkpoint.origin,
    chain: head.chain,
    entries: ofChain + others,
    size: checkpoint.size,
    decisions: decisions.counts,
    problems,
  };
}
