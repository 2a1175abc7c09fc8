import fc from 'fast-check';
import { expect, test } from 'vitest';
import { links, nameOf, processes, revokedIntegration } from './plan.ts';
import { planOf } from './planOf.ts';

const anySeed = fc.integer({ min: 1, max: 1_000_000 });

test('a seed names one plan: drawn again it is the same, whatever was drawn between', () => {
  fc.assert(
    fc.property(anySeed, anySeed, (seed, other) => {
      const first = planOf(seed);
      planOf(other);
      expect(planOf(seed)).toEqual(first);
    }),
  );
});

test('two seeds in a row name two plans', () => {
  fc.assert(
    fc.property(anySeed, (seed) => {
      expect({ ...planOf(seed + 1), seed }).not.toEqual(planOf(seed));
    }),
  );
});

test('each identity begins with its onboarding, and ends with its revocation where it has one', () => {
  fc.assert(
    fc.property(anySeed, (seed) => {
      for (const { acts } of planOf(seed).lives) {
        expect(acts.map(({ what }) => what).indexOf('onboard')).toBe(0);
        expect(acts.filter(({ what }) => what === 'onboard')).toHaveLength(1);
        expect(acts.slice(0, -1).map(({ what }) => what)).not.toContain('revoke');
      }
    }),
  );
});

test('a mass revocation takes identities of its own, and only where it is paused one that comes late', () => {
  fc.assert(
    fc.property(anySeed, (seed) => {
      const { lives, freezes, massRevocation } = planOf(seed);
      const its = [...lives.keys()].filter((index) => lives[index]?.integration === revokedIntegration);
      expect(freezes.map(({ integration }) => integration)).not.toContain(revokedIntegration);
      if (massRevocation === undefined) {
        expect(its).toEqual([]);
        return;
      }
      const { late, pauses } = massRevocation;
      expect(its.filter((index) => index !== late).length).toBeGreaterThan(1);
      if (late === undefined) return;
      expect(its.at(-1)).toBe(late);
      expect(lives[late]?.acts.map(({ what }) => what)).toEqual(['onboard']);
      expect(pauses).not.toEqual([]);
    }),
  );
});

test('200 seeds in a row stop both PostgreSQL clusters for less than a transaction may last, and for longer than its clients wait', () => {
  const faults = Array.from({ length: 200 }, (_, index) => planOf(index + 1).faults).flat();
  for (const name of ['stop ledger', 'stop issuer']) {
    const forMs = faults.filter(({ breakage }) => nameOf(breakage) === name).map((fault) => fault.forMs);
    expect(Math.min(...forMs)).toBeLessThan(2_000);
    expect(Math.max(...forMs)).toBeGreaterThan(15_500);
  }
});

test('200 seeds in a row kill and stop every process, break every link, and hold both modes of freeze and both stores', () => {
  const plans = Array.from({ length: 200 }, (_, index) => planOf(index + 1));
  const faults = new Set(plans.flatMap((plan) => plan.faults.map(({ breakage }) => nameOf(breakage))));
  for (const process of processes)
    expect([...faults]).toEqual(expect.arrayContaining([`kill ${process}`, `stop ${process}`]));
  for (const link of links) expect([...faults].filter((name) => name.endsWith(` ${link}`)).length).toBeGreaterThan(2);
  expect(new Set(plans.flatMap(({ freezes }) => freezes.map(({ mode }) => mode)))).toEqual(new Set(['hold', 'cancel']));
  expect(new Set(plans.flatMap(({ lives }) => lives.map(({ store }) => store)))).toEqual(new Set(['sealed', 'vault']));
});
