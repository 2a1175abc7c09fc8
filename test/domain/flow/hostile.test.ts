import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatFlowError } from '../../../domain/flow/explain.ts';
import { parseFlow } from '../../../domain/flow/parse.ts';
import { sourceLimit } from '../../../domain/flow/yamlPositions.ts';
import { flowWith, soundFlow } from './flowSource.ts';

/** Every one must come back refused, with few and short errors: a hang or a crash fails by the test's time limit. */
function refusalOf(source: string): string {
  const parsed = parseFlow(source, 'hostile.flow.yaml');
  if (parsed.ok) throw new Error('the hostile source was taken for a flow');
  expect(parsed.errors.length).toBeGreaterThan(0);
  expect(parsed.errors.length).toBeLessThanOrEqual(51);
  const shown = parsed.errors.map((error) => formatFlowError(error, source)).join('\n');
  expect(shown.length).toBeLessThan(51 * 1_500);
  return shown;
}

const full = (piece: string) => piece.repeat(Math.floor(sourceLimit / piece.length));

const bomb = [
  'a: &a [x, x, x, x, x, x, x, x, x]',
  ...[...'bcdefghi'].map((letter, index) => `${letter}: &${letter} [${`*${'abcdefghi'[index]}, `.repeat(9)}]`),
].join('\n');

test.each([
  ['nested lists', full('[')],
  ['nested lists that close', '['.repeat(sourceLimit / 2) + ']'.repeat(sourceLimit / 2)],
  ['nested maps', full('{a: ')],
  ['nested block lists', full('- ')],
  ['nested explicit keys', full('? ')],
  ['deep indentation', Array.from({ length: 700 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n')],
  ['seventeen levels, no more', `${'{a: '.repeat(17)}1${'}'.repeat(17)}`],
  ['a bomb of aliases', bomb],
  ['an alias of itself', 'a: &a [*a]'],
  ['a merge key', 'base: &base {a: 1}\nkind: {<<: *base}'],
  ['many keys', Array.from({ length: 25_000 }, (_, index) => `k${index}: 1`).join('\n')],
  ['the same key many times', full('kind: Flow\n')],
  ['many commas', `[${','.repeat(sourceLimit - 2)}]`],
  ['many quotes', full('"')],
  ['many exclamation marks', full('!')],
  ['many ampersands', full('&')],
  ['many stars', full('*a ')],
  ['many documents', full('---\n')],
  ['many directives', `${full('%YAML 1.1\n').slice(0, -20)}---\na: yes`],
  ['many invisible characters', full('\u200b')],
  ['many control characters', full('\u0000')],
  ['many lone surrogates', full('\ud800')],
  ['a key of the whole size', `${'a'.repeat(sourceLimit - 3)}: 1`],
  ['a number of the whole size', `a: ${'9'.repeat(sourceLimit - 3)}`],
  ['ten megabytes', 'a'.repeat(10_000_000)],
  ['ten megabytes of newlines', '\n'.repeat(10_000_000)],
  ['a binary tag', flowWith('name: sound', 'name: !!binary aGVsbG8=')],
  ['a set tag', flowWith('[requester, owner]', '!!set {requester, owner}')],
  ['YAML 1.1, where yes is true', `%YAML 1.1\n---\n${soundFlow}`],
  ['a tag directive', `%TAG ! tag:example.com,2000:\n---\n${soundFlow}`],
  ['a second document', `${soundFlow}---\n${soundFlow}`],
  ['a complex key', flowWith('kind: Flow', '? [kind]\n: Flow')],
  ['an infinite count', flowWith('count: 2', 'count: .inf')],
  ['a count that is not a number', flowWith('count: 2', 'count: .nan')],
  ['a huge count', flowWith('count: 2', 'count: 99999999999999999999')],
  ['a huge count in exponent notation', flowWith('count: 2', 'count: 1e400')],
  ['a negative count', flowWith('count: 2', 'count: -2')],
  ['a guard of the whole size', flowWith('that: owner.active', `that: '${'!'.repeat(sourceLimit - 2_000)}true'`)],
  [
    'a thousand stages',
    flowWith('  - {id: tell', `${'  - {id: s, notify: {to: [owner]}}\n'.repeat(1_000)}  - {id: tell`),
  ],
])('%s: refused, and quickly', (_what, source) => {
  refusalOf(source);
});

test.each(['__proto__', 'constructor', 'prototype'])(
  'the key %s is refused wherever it is, and changes no prototype',
  (key) => {
    for (const source of [
      flowWith('kind: Flow', `kind: Flow\n${key}: {polluted: true}`),
      flowWith('{environment: production}}', `{labels: {${key}: {polluted: true}}}}`),
      flowWith('people: {pia:', `people: {${key}: {groups: [security]}, pia:`),
    ]) {
      expect(refusalOf(source)).toContain(`'${key}' cannot be a key`);
    }
    expect(Reflect.get({}, 'polluted')).toBeUndefined();
  },
);

test.each([
  ['a Cyrillic letter in a name', flowWith('name: sound', 'name: s\u043eund')],
  ['full-width letters in a stage id', flowWith('id: review', 'id: \uff52eview')],
  ['a Cyrillic letter in a group', flowWith('group:security,', 'group:s\u0435curity,')],
  ['a Cyrillic letter in a guard', flowWith('"production"', '"pr\u043eduction"')],
  ['a direction mark in a comment', soundFlow.replace('kind: Flow', 'kind: Flow # \u202e')],
  ['a soft hyphen in a description', flowWith('sound in every part', 'sou\u00adnd')],
  ['a no-break space between words', flowWith('sound in every part', 'sound\u00a0in')],
  ['an escaped direction mark', flowWith('description: sound in every part', 'description: "sound \\u202e in"')],
  ['an escaped bell', flowWith('description: sound in every part', 'description: "sound \\a in"')],
])('%s is refused: what is read must be what runs', (_what, source) => {
  refusalOf(source);
});

test('people may still write their own language in a description', () => {
  expect(parseFlow(flowWith('sound in every part', 'Überprüft durch 安全 и безопасность'), 'f').ok).toBe(true);
});

test('an error shows no control characters of the file, so that it cannot act on a terminal', () => {
  const bell = '\u0007';
  for (const part of [`"a${bell}"`, '"a\\a"', `{"a${bell}": b, "a${bell}": b}`, '{"a\\a": b, "a\\a": b}']) {
    const shown = refusalOf(flowWith('name: sound', `name: ${part}`));
    expect(shown).not.toContain(bell);
    expect(shown).toContain('U+0007');
  }
});

test('parseFlow never throws, whatever the source', () => {
  const lines = soundFlow.split('\n');
  const mangled = fc
    .array(fc.tuple(fc.nat(lines.length - 1), fc.constantFrom('drop', 'double', 'indent', 'swap', 'cut'), fc.nat(80)), {
      minLength: 1,
      maxLength: 6,
    })
    .map((edits) => {
      const copy = [...lines];
      for (const [at, edit, amount] of edits) {
        const line = copy[at] ?? '';
        if (edit === 'drop') copy.splice(at, 1);
        if (edit === 'double') copy.splice(at, 0, line);
        if (edit === 'indent') copy[at] = ' '.repeat(amount % 9) + line.trimStart();
        if (edit === 'swap') copy[at] = [...line].reverse().join('');
        if (edit === 'cut') copy[at] = line.slice(0, amount);
      }
      return copy.join('\n');
    });
  fc.assert(
    fc.property(fc.oneof(mangled, fc.string({ unit: 'binary' }), fc.json()), (source) => {
      const parsed = parseFlow(source, 'f');
      if (parsed.ok) return;
      for (const { line, column } of parsed.errors) {
        expect(line).toBeGreaterThanOrEqual(1);
        expect(line).toBeLessThanOrEqual(source.split('\n').length);
        expect(column).toBeGreaterThanOrEqual(1);
      }
    }),
    { numRuns: 1_000 },
  );
});
