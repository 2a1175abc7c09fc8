import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseName } from '../../domain/names.ts';

function keyOf(name: string): string {
  const parsed = parseName(name);
  if (!parsed.ok) throw new Error(`${JSON.stringify(name)} ${parsed.reason}`);
  return parsed.key;
}

function refusalOf(name: string): string {
  const parsed = parseName(name);
  return parsed.ok ? 'accepted' : parsed.reason;
}

test.each([
  ["O'Brien's billing"],
  ['"quoted"; drop table identity; --'],
  ['payments/api v2 (blue)'],
  ['Größe'],
  ['платежи-день'],
  ['支払い-API'],
  ['खाता'],
  ['x'.repeat(200)],
])('the name %s is accepted as it is written', (name) => {
  expect(parseName(name)).toMatchObject({ ok: true, name });
});

test.each([
  ['payroll', 'PAYROLL'],
  ['payroll', 'PayroIl'],
  ['payroll', 'payro11'],
  ['modern', 'modem'],
  ['go-live', 'g0-1ive'],
  ['Größe', 'GRÖSSE'],
  ['caf\u00e9', 'cafe\u0301'],
  ["it's", 'it`s'],
])('%s and %s look alike and collide', (one, other) => {
  expect(keyOf(one)).toBe(keyOf(other));
});

test('names that do not look alike keep their own keys', () => {
  expect(new Set(['payments-api', 'payments_api', 'payments api', 'payments-db', 'päyments-api'].map(keyOf)).size).toBe(
    5,
  );
});

test.each([
  ['', 'is empty'],
  ['x'.repeat(201), 'has 201 characters; at most 200 are allowed'],
  [' padded', 'begins or ends with a space, or has two in a row'],
  ['two  spaces', 'begins or ends with a space, or has two in a row'],
])('the name %j is refused because it %s', (name, reason) => {
  expect(refusalOf(name)).toBe(reason);
});

test.each([
  ['a line\nbreak', 'U+000A'],
  ['nul\u0000', 'U+0000'],
  ['zero\u200bwidth', 'U+200B'],
  ['right\u202eleft', 'U+202E'],
  ['no\u00a0break', 'U+00A0'],
  ['ﬁle', 'U+FB01'],
  ['ａdmin', 'U+FF41'],
  ['ɑdmin', 'U+0251'],
  ['rocket🚀', 'U+1F680'],
  ['٣', 'U+0663'],
  ['a\ud800', 'U+D800'],
])('the name %j is refused with the code point at fault, %s', (name, code) => {
  expect(refusalOf(name)).toContain(code);
});

test('letters of two scripts in one name are refused', () => {
  expect(refusalOf('p\u0430yments')).toBe(
    'mixes Latin and Cyrillic letters; use one script, since letters of different scripts look alike',
  );
});

test('a whole name in another script that passes for Latin is refused', () => {
  expect(refusalOf('\u0440\u0430\u0443\u0440\u0430\u0443')).toContain('Cyrillic letters that all look like Latin ones');
  expect(refusalOf('\u039a\u0391\u03a4\u0395')).toContain('Greek letters that all look like Latin ones');
});

test('no accepted name holds a control or format character, and its key does not depend on case', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 30 }), (text) => {
      const parsed = parseName(text);
      if (!parsed.ok) return;
      expect(parsed.name).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
      const upper = parseName(parsed.name.toUpperCase());
      if (upper.ok) expect(upper.key).toBe(parsed.key);
    }),
    { numRuns: 2000 },
  );
});

test('checking an accepted name again gives the same name and key', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 30 }), (text) => {
      const parsed = parseName(text);
      if (parsed.ok) expect(parseName(parsed.name)).toEqual(parsed);
    }),
  );
});
