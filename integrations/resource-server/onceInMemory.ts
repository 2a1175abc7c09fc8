import type { UseOnce } from './dpopProof.ts';

/** More proofs are in use at once than may be remembered. None is forgotten early: calls are refused until some expire. */
export class ReplayMemoryFull extends Error {
  override readonly name = 'ReplayMemoryFull';
}

/**
 * Remembers used proofs in this process: right for a server that is one process. Several that answer for one address
 * share a memory instead, for example `SET <value> 1 NX PXAT <until>` of Redis or a unique key in a database.
 * @param mostValues how many are remembered at once; about 150 bytes each, and each lives two minutes
 * @throws ReplayMemoryFull at each further value: forgetting one would let its proof be replayed
 */
export function onceInMemory({ mostValues = 100_000 }: { mostValues?: number } = {}): UseOnce {
  const untilOf = new Map<string, number>();
  return (value, until) => {
    const nowMs = Date.now();
    // A Map keeps its order, and values come nearly in the order in which they expire.
    for (const [oldest, untilMs] of untilOf) {
      if (untilMs > nowMs) break;
      untilOf.delete(oldest);
    }
    if (untilOf.has(value)) return false;
    if (untilOf.size >= mostValues)
      throw new ReplayMemoryFull(`${mostValues} DPoP proofs are remembered, and no more can be. Raise mostValues.`);
    untilOf.set(value, until.getTime());
    return true;
  };
}
