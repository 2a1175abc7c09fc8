import type { EndedHold, Hold, LedgerFacts } from './state.ts';

/** The facts once some of the holds are over, from now on. */
export function endHolds<Held extends LedgerFacts>(facts: Held, isOver: (hold: Hold) => boolean): Held {
  const ended = facts.holds.filter(isOver).map(({ since }) => ({ since, until: facts.guardFacts.now }));
  return {
    ...facts,
    holds: facts.holds.filter((hold) => !isOver(hold)),
    endedHolds: [...facts.endedHolds, ...ended],
  };
}

/** For how long, in ms, at least one of the holds was in force at or after `fromMs`. Overlapping holds count once. */
export function heldSince(holds: readonly EndedHold[], fromMs: number): number {
  const spans = holds
    .map(({ since, until }) => ({ startMs: Date.parse(since), endMs: Date.parse(until) }))
    .sort((a, b) => a.startMs - b.startMs);
  let totalMs = 0;
  let countedToMs = fromMs;
  for (const { startMs, endMs } of spans) {
    totalMs += Math.max(0, endMs - Math.max(startMs, countedToMs));
    countedToMs = Math.max(countedToMs, endMs);
  }
  return totalMs;
}
