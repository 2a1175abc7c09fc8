import { setTimeout as wait } from 'node:timers/promises';
import type { Anchor } from './sealerAnchor.ts';
import {
  batchSize,
  EvidenceForked,
  numberEntries,
  type PublishedCheckpoint,
  publishHead,
  type Sealing,
} from './sealerSteps.ts';

export interface SealerOptions extends Sealing {
  readonly anchor?: Anchor;
  /** Between two looks for new entries; at most half a second keeps "sealed within a second". */
  readonly intervalMs: number;
  /** Ends the sealer after the round it is in. */
  readonly signal: AbortSignal;
  /** The ledger was restored from a backup: awaited before anything else is tried. */
  readonly onForked?: (error: EvidenceForked) => Promise<void>;
  /** Each failed round; the sealer goes on trying. EvidenceForked, EvidenceTampered and SealerHead… want a person. */
  readonly onError: (error: unknown) => void;
}

/** While rounds fail, they come less often, up to this. */
const longestPauseMs = 30_000;

/**
 * One round: numbers, hashes and signs what was committed, one batch of it. Safe to repeat and to run beside another
 * sealer: constraints and the lock of each transaction, not the caller, keep them apart.
 * @returns how many entries were sealed (0: nothing is left, or another sealer is at work) and the newest checkpoint
 * @throws EvidenceForked, EvidenceTampered, SealerHeadMissing, SealerHeadUnreadable: nothing is signed until it is resolved
 */
export async function sealOnce(sealing: Sealing): Promise<{ sealed: number; newest: PublishedCheckpoint | undefined }> {
  const sealed = await numberEntries(sealing);
  if (sealed === undefined) return { sealed: 0, newest: undefined };
  return { sealed, newest: await publishHead(sealing) };
}

/**
 * Seals until `signal` aborts; resolves then. Any number of processes may run it, but only where the head file is:
 * one place per installation. It never gives up and never falls back: a round that fails is told to `onError` and
 * tried again, less and less often, up to every 30 s.
 */
export async function runSealer({
  anchor,
  intervalMs,
  signal,
  onForked,
  onError,
  ...sealing
}: SealerOptions): Promise<void> {
  let anchoredNote: string | undefined;
  let failures = 0;
  while (!signal.aborted) {
    let isDrained = true;
    try {
      const { sealed, newest } = await sealOnce(sealing);
      // What came meanwhile waits for the next round, or under load there would be a round for every few entries.
      isDrained = sealed < batchSize;
      if (anchor !== undefined && newest !== undefined && newest.note !== anchoredNote) {
        await anchor.publish(newest.note);
        anchoredNote = newest.note;
      }
      failures = 0;
    } catch (error) {
      failures++;
      onError(error);
      if (error instanceof EvidenceForked) await onForked?.(error).catch(onError);
    }
    if (failures > 0) await pause(Math.max(intervalMs, Math.min(intervalMs * 2 ** failures, longestPauseMs)), signal);
    else if (isDrained) await pause(intervalMs, signal);
  }
}

/** Ends early, without an error, when `signal` aborts. */
async function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  try {
    await wait(delayMs, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
