import { expect, test } from 'vitest';
import { extentOf, freezeSelector, namedBy } from '../../domain/freezeSelector.ts';

test('only a selector of nothing, or of all of several, is out of the ordinary: a lone identity is not', () => {
  expect(extentOf({ matching: 0, live: 0 })).toBe('nothing');
  expect(extentOf({ matching: 0, live: 5 })).toBe('nothing');
  expect(extentOf({ matching: 1, live: 1 })).toBe('some');
  expect(extentOf({ matching: 4, live: 5 })).toBe('some');
  expect(extentOf({ matching: 2, live: 2 })).toBe('everything');
});

test('a list that is not given selects nothing, and evidence names only those that do', () => {
  expect(Object.values(freezeSelector({})).flat()).toEqual([]);
  expect(namedBy(freezeSelector({ issuers: ['main-db'], labels: [] }))).toEqual({ issuers: ['main-db'] });
});
