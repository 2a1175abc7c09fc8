import fc from 'fast-check';
import { expect, test } from 'vitest';
import { canonicalJson, NotPlainJson } from '../../../domain/evidence/canonicalJson.ts';

test('the example of RFC 8785 comes out as the standard prints it (its 1E30 aside, which we refuse)', () => {
  const value: unknown = JSON.parse(
    '{"numbers":[333333333.33333329,4.50,2e-3,0.000000000000000000000000001],' +
      String.raw`"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",` +
      '"literals":[null,true,false]}',
  );
  expect(canonicalJson(value)).toBe(
    '{"literals":[null,true,false],"numbers":[333333333.3333333,4.5,0.002,1e-27],' +
      String.raw`"string":"€$\u000f\nA'B\"\\\\\"/"}`,
  );
});

test('members are ordered by UTF-16 code units, as RFC 8785 section 3.2.3 demands', () => {
  const value = { '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\ud83d\ude00': 5, '\u0080': 6, '\u00f6': 7 };
  expect(canonicalJson(value)).toBe('{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\ud83d\ude00":5,"\ufb33":3}');
});

test('canonical text is one line, means the same, and is its own canonical form', () => {
  const exactJson = fc
    .jsonValue()
    .map((value) => JSON.parse(JSON.stringify(value), (_, inner) => (isInexact(inner) ? 0 : inner)) as unknown);
  fc.assert(
    fc.property(exactJson, (value) => {
      const text = canonicalJson(value);
      expect(text).not.toMatch(/[\n\r]/);
      // Through JSON on both sides: it knows no negative zero.
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
      expect(canonicalJson(JSON.parse(text))).toBe(text);
    }),
  );
});

function isInexact(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value);
}

const cycle: { self?: unknown } = {};
cycle.self = cycle;

test.for<[string, unknown, string]>([
  ['undefined as a member', { a: { b: undefined } }, '$.a.b'],
  ['undefined as an item', { a: [1, undefined] }, '$.a[1]'],
  ['a hole in a list', { a: new Array<number>(1) }, '$.a[0]'],
  ['undefined itself', undefined, '$'],
  ['NaN', { a: Number.NaN }, '$.a'],
  ['infinity', [Number.POSITIVE_INFINITY], '$[0]'],
  ['an integer that lost digits', { a: 2 ** 53 }, '$.a'],
  ['a bigint', { a: 1n }, '$.a'],
  ['a date', { a: new Date(0) }, '$.a'],
  ['bytes', { a: Buffer.from('x') }, '$.a'],
  ['a map', { a: new Map() }, '$.a'],
  ['a function', { toJSON: () => 'x' }, '$.toJSON'],
  ['a symbol', { a: Symbol('x') }, '$.a'],
  ['a symbol key', { [Symbol('x')]: 1 }, '$'],
  ['half a surrogate pair', { a: '\ud800' }, '$.a'],
  ['half a surrogate pair as a name', { '\udc00': 1 }, 'a member name in $'],
])('%s is refused by name, never dropped or bent', ([, value, path]) => {
  expect(() => canonicalJson(value)).toThrow(NotPlainJson);
  expect(() => canonicalJson(value)).toThrow(`${path} is `);
});

test('a cycle is refused, not followed for ever', () => {
  expect(() => canonicalJson(cycle)).toThrow(/nested deeper than 64 levels/);
});
