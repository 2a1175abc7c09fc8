/** Draws that follow from a seed alone. */
export interface Chance {
  /** A whole number from `least` to `most`, both included. */
  between(least: number, most: number): number;
  /** True in `percent` of a hundred draws. */
  percent(percent: number): boolean;
  /** One of the choices, each equally likely. */
  oneOf<T>(choices: readonly [T, ...T[]]): T;
}

/** SplitMix32 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014): small, and even enough to draw plans. */
export function chance(seed: number): Chance {
  let state = seed | 0;

  /** From 0 to 1, 1 excluded. */
  function next(): number {
    state = (state + 0x9e3779b9) | 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  }

  const between = (least: number, most: number) => least + Math.floor(next() * (most - least + 1));
  return {
    between,
    percent: (percent) => next() * 100 < percent,
    oneOf<T>(choices: readonly [T, ...T[]]): T {
      return choices[between(0, choices.length - 1)] ?? choices[0];
    },
  };
}
