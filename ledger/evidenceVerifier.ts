import { setTimeout as wait } from 'node:timers/promises';
import type { DirectPool } from './direct.ts';
import type { EvidenceKeys } from './evidence.ts';
import { EvidenceDamaged, EvidenceRound } from './evidenceRound.ts';
import type { Watch } from './evidenceWatch.ts';

export interface VerifierOptions {
  readonly direct: DirectPool;
  readonly keys: EvidenceKeys;
  /** Between two turns. */
  readonly intervalMs: number;
  /** Ends it after the turn it is in. */
  readonly signal: AbortSignal;
  readonly watch: Watch;
  /** What was found, and what kept it from looking. It goes on. */
  readonly onError: (error: unknown) => void;
}

/** A pass takes half an hour at most, so that what happens behind it is found within the hour. */
const passMs = 30 * 60_000;
const leastPerTurn = 1_000;
/** Damage stays until a person has acted: it is looked for again, and said again, this often. */
const damagedPauseMs = 30_000;

/**
 * Verifies everything sealed again and again, in turns, until `signal` aborts. What was found to be damaged is said until a
 * whole pass has found nothing.
 */
export async function runVerifier(options: VerifierOptions): Promise<void> {
  const { signal, watch, onError, intervalMs } = options;
  let pass = new EvidenceRound(options.keys);
  while (!signal.aborted) {
    let pauseMs = intervalMs;
    try {
      const perTurn = Math.max(leastPerTurn, Math.ceil((pass.size * intervalMs) / passMs));
      if ((await pass.next(options.direct, perTurn)) !== undefined) {
        await watch.ok();
        pass = new EvidenceRound(options.keys);
      }
    } catch (error) {
      onError(error);
      // A ledger that cannot be reached has said nothing about its evidence: the pass goes on where it is.
      if (error instanceof EvidenceDamaged) {
        await watch.failed(error);
        pass = new EvidenceRound(options.keys);
        pauseMs = Math.max(intervalMs, damagedPauseMs);
      }
    }
    await wait(pauseMs, undefined, { signal }).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  }
}
