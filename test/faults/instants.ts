import { setTimeout as wait } from 'node:timers/promises';
import type { Instant } from './plan.ts';

type State = NonNullable<Instant['when']>;

/** When things begin: faults and freezes wait here, and whoever watches a request tells what it shows. */
export interface Instants {
  /** This state was seen, perhaps not for the first time. */
  tell(seen: State): void;
  /** Resolves when the instant has come. */
  until(instant: Instant): Promise<void>;
}

export function instants(): Instants {
  const states = new Map<string, PromiseWithResolvers<void>>();

  function seenOf({ life, act, state }: State): PromiseWithResolvers<void> {
    const key = `${life}/${act}/${state}`;
    const seen = states.get(key) ?? Promise.withResolvers<void>();
    states.set(key, seen);
    return seen;
  }

  return {
    tell: (seen) => seenOf(seen).resolve(),
    async until({ when, afterMs, latestMs }) {
      if (when === undefined) return wait(afterMs);
      const isSeen = seenOf(when).promise.then(() => wait(afterMs));
      await Promise.race([isSeen, wait(latestMs)]);
    },
  };
}
