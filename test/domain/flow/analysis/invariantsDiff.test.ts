import { expect, test } from 'vitest';
import type { Invariant } from '../../../../domain/flow/analysis/invariants.ts';
import { invariantChanges } from '../../../../domain/flow/analysis/invariantsDiff.ts';

const invariant: Invariant = { id: 'owned', title: 'owned', on: 'onboarding', require: [{ verified: 'owner.active' }] };

const labels = (was: Invariant, is: Invariant): readonly string[] =>
  invariantChanges([was], [is]).map(({ label, path }) => `${label} ${path}`);

test('an invariant that exceptions may break from now on is weaker, and one that they may not is stronger', () => {
  const waivable = { ...invariant, mayBeWaived: true };
  expect(labels(invariant, waivable)).toEqual(['WEAKENS invariants.owned.mayBeWaived']);
  expect(labels(waivable, invariant)).toEqual(['STRENGTHENS invariants.owned.mayBeWaived']);
  expect(labels(invariant, { ...invariant, mayBeWaived: false })).toEqual([]);
});

test('a requirement that is gone weakens, one more strengthens', () => {
  const cooled: Invariant = { ...invariant, require: [...invariant.require, { waited: 'PT1H' }] };
  expect(labels(cooled, invariant)).toEqual(['WEAKENS invariants.owned.require']);
  expect(labels(invariant, cooled)).toEqual(['STRENGTHENS invariants.owned.require']);
});
