import { setTimeout as wait } from 'node:timers/promises';
import type { Instant, Moment } from './plan.ts';

/** When things begin: faults and freezes wait here, and whoever watches a request, or revokes many, tells what they see. */
export interface Instants {
  /** This was seen, perhaps not for the first time. */
  tell(seen: Moment): void;
  /** Resolves when the instant has come. */
  until(instant: Instant): Promise<void>;
}

export function instants(): Instants {
  const moments = new Map<string, PromiseWithResolvers<void>>();

  function seenOf(moment: Moment): PromiseWithResolvers<void> {
    const key = 'life' in moment ? `${moment.life}/${moment.act}/${moment.state}` : moment.massRevocation;
    const seen = moments.get(key) ?? Promise.withResolvers<void>();
    moments.set(key, seen);
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
