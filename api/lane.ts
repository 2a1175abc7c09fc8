import { Problem } from './problem.ts';

/** How much of one kind may be under way in this process. */
export interface LaneLimits {
  readonly atOnce: number;
  /** Of them, for one key: a principal, mostly. */
  readonly perKey: number;
  /** How many more of one key wait for their turn, while others may go on; beyond them, they are refused. */
  readonly waitingPerKey: number;
}

/** Lets so many go on at once, and the rest wait: keys take turns, so that nobody waits behind all of somebody else's. */
export interface Lane {
  /**
   * @returns what is called, once or more often, when it is over
   * @throws Problem `too-many-requests` when too many of this key wait already
   */
  enter(key: string): Promise<() => void>;
}

interface OfKey {
  underWay: number;
  readonly waiting: (() => void)[];
}

export function lane({ atOnce, perKey, waitingPerKey }: LaneLimits): Lane {
  /** Those with something under way or waiting; who was served last is last. */
  const keys = new Map<string, OfKey>();
  let underWay = 0;

  function leaveOf(key: string, ofKey: OfKey): () => void {
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      underWay -= 1;
      ofKey.underWay -= 1;
      if (ofKey.underWay === 0 && ofKey.waiting.length === 0) keys.delete(key);
      letNextGo();
    };
  }

  function begin(ofKey: OfKey): void {
    underWay += 1;
    ofKey.underWay += 1;
  }

  function letNextGo(): void {
    if (underWay >= atOnce) return;
    for (const [key, ofKey] of keys) {
      if (ofKey.underWay >= perKey) continue;
      const next = ofKey.waiting.shift();
      if (next === undefined) continue;
      keys.delete(key);
      keys.set(key, ofKey);
      begin(ofKey);
      next();
      return;
    }
  }

  return {
    async enter(key) {
      const ofKey = keys.get(key) ?? { underWay: 0, waiting: [] };
      if (underWay < atOnce && ofKey.underWay < perKey) {
        begin(ofKey);
        keys.set(key, ofKey);
        return leaveOf(key, ofKey);
      }
      if (ofKey.waiting.length >= waitingPerKey) throw tooMuchAtOnce(ofKey.underWay >= perKey ? ' of yours' : '');
      keys.set(key, ofKey);
      await new Promise<void>((resolve) => ofKey.waiting.push(resolve));
      return leaveOf(key, ofKey);
    },
  };
}

function tooMuchAtOnce(whose: string): Problem {
  return new Problem(
    'too-many-requests',
    `Too many requests${whose} are under way at once; with this one, nothing was done. Send fewer at a time, and this one again after Retry-After.`,
    { headers: { 'Retry-After': '1' } },
  );
}
