import type { Spread } from './finding.ts';

/** One round's figures of subject and baseline, under the same names. */
export interface Pair<Name extends string> {
  readonly subject: Readonly<Record<Name, number>>;
  readonly baseline: Readonly<Record<Name, number>>;
}

export interface Compared {
  /** The median over rounds of subject / baseline. */
  readonly ratio: number;
  readonly spread: Spread;
  /** Medians of each alone. */
  readonly subject: number;
  readonly baseline: number;
}

/**
 * Runs `round` once to warm up, which is not counted, then `count` times. A round measures subject and baseline close
 * together, so that what else the machine does falls on both.
 */
export async function rounds<Name extends string>(
  { count, say, what }: { count: number; say: (text: string) => void; what: string },
  round: (index: number) => Promise<Pair<Name>>,
): Promise<readonly Pair<Name>[]> {
  const pairs: Pair<Name>[] = [];
  for (let index = 0; index <= count; index += 1) {
    say(index === 0 ? `${what}: warming up` : `${what}: round ${index} of ${count}`);
    const pair = await round(index);
    if (index > 0) pairs.push(pair);
  }
  return pairs;
}

/** Measures the two one after the other, in turns first: whoever runs second would else always find a warmer machine. */
export async function inTurns<Name extends string>(
  index: number,
  subject: () => Promise<Record<Name, number>>,
  baseline: () => Promise<Record<Name, number>>,
): Promise<Pair<Name>> {
  if (index % 2 === 0) return { subject: await subject(), baseline: await baseline() };
  const first = await baseline();
  return { subject: await subject(), baseline: first };
}

export function compared<Name extends string>(pairs: readonly Pair<Name>[], name: Name): Compared {
  const ratios = pairs.map(({ subject, baseline }) => subject[name] / baseline[name]);
  return {
    ratio: median(ratios),
    spread: { lowest: Math.min(...ratios), highest: Math.max(...ratios), rounds: ratios.length },
    subject: median(pairs.map(({ subject }) => subject[name])),
    baseline: median(pairs.map(({ baseline }) => baseline[name])),
  };
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The smallest value that at least this share of the values do not exceed (nearest rank). @throws RangeError of none */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
  if (value === undefined) throw new RangeError('There is no quantile of no values.');
  return value;
}

/** @returns milliseconds that `work` took */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

/** Does `work` `times` times, `lanes` at once. @returns how many a second */
export async function perSecond(
  { times, lanes }: { times: number; lanes: number },
  work: () => Promise<unknown>,
): Promise<number> {
  let begun = 0;
  const tookMs = await timed(() =>
    Promise.all(
      Array.from({ length: lanes }, async () => {
        while (begun < times) {
          begun += 1;
          await work();
        }
      }),
    ),
  );
  return (times * 1000) / tookMs;
}
