import { setTimeout as wait } from 'node:timers/promises';
import type { Watch } from './evidenceWatch.ts';
import {
  batchSize,
  EvidenceForked,
  numberEntries,
  type PublishedCheckpoint,
  publishHead,
  type Sealing,
} from './sealerSteps.ts';

export interface SealerOptions extends Sealing {
  /** Between two looks for new entries; at most half a second keeps "sealed within a second". */
  readonly intervalMs: number;
  /** Ends the sealer after the round it is in. */
  readonly signal: AbortSignal;
  /** The ledger was restored from a backup: awaited before anything else is tried. */
  readonly onForked?: (error: EvidenceForked) => Promise<void>;
  /** What each round found: undefined, or why it failed. */
  readonly watch?: Watch;
  /** Each failed round; the sealer goes on trying. EvidenceForked, EvidenceTampered and SealerHead… want a person. */
  readonly onError: (error: unknown) => void;
}

/** While rounds fail, they come less often, up to this: what was put right is seen within a minute. */
const longestPauseMs = 30_000;

/**
 * One round: numbers, hashes and signs what was committed, one batch of it. Safe to repeat and to run beside another
 * sealer: constraints and the lock of each transaction, not the caller, keep them apart.
 * @returns how many entries were sealed, the newest checkpoint, and whether another sealer was at work, which says nothing
 * @throws EvidenceForked, EvidenceTampered, CheckpointTampered, SealerHead…, Anchor…: nothing is signed until it is resolved
 */
export async function sealOnce(
  sealing: Sealing,
): Promise<{ sealed: number; newest: PublishedCheckpoint | undefined; isBusy: boolean }> {
  const sealed = await numberEntries(sealing);
  if (sealed === undefined) return { sealed: 0, newest: undefined, isBusy: true };
  return { sealed, newest: await publishHead(sealing), isBusy: false };
}

/**
 * Seals until `signal` aborts; resolves then. Any number of processes may run it, but only where the head file is:
 * one place per installation. It never gives up and never falls back: a round that fails is told to `onError` and
 * tried again, less and less often, up to every 30 s.
 */
export async function runSealer({
  intervalMs,
  signal,
  onForked,
  onError,
  watch,
  ...sealing
}: SealerOptions): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    let isDrained = true;
    try {
      const { sealed, isBusy } = await sealOnce(sealing);
      // What came meanwhile waits for the next round, or under load there would be a round for every few entries.
      isDrained = sealed < batchSize;
      failures = 0;
      // Another one at work says what it finds itself; if it never does, that is seen by what is said getting old.
      if (!isBusy) await watch?.ok();
    } catch (error) {
      failures++;
      onError(error);
      await watch?.failed(error);
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
