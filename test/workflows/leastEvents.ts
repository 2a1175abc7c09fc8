/** What a run is made of. Everything that a history may hold is here; an event beyond it is one too many. */
export interface Shape {
  /** Updates that open. */
  readonly opens: number;
  /** Activities on issuer or store, one after another. */
  readonly remote: number;
  /** Ledger transactions, the one of `open` included. */
  readonly local: number;
  readonly decisions: number;
  readonly timersFired: number;
  readonly timersCancelled: number;
  /** Signals that arrive while nothing else happens. */
  readonly nudges: number;
}

/** DESIGN section 9: the minimum for a shape. A signal is one event and its workflow task three. */
export function leastEvents(shape: Partial<Shape>): number {
  const { opens = 1, remote = 0, local = 0, decisions = 0, timersFired = 0, timersCancelled = 0, nudges = 0 } = shape;
  return 5 + 2 * opens + 6 * remote + local + 5 * decisions + 5 * timersFired + 2 * timersCancelled + 4 * nudges;
}
