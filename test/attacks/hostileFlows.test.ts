import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatFlowError } from '../../domain/flow/explain.ts';
import { compileGuard, evaluateGuard } from '../../domain/flow/guards.ts';
import type { Flow } from '../../domain/flow/language.ts';
import { type FlowError, parseFlow, parseFlowTests } from '../../domain/flow/parse.ts';
import { runFlowTest } from '../../domain/flow/testing.ts';
import { sourceLimit } from '../../domain/flow/yamlPositions.ts';
import { exampleFacts } from '../domain/flow/exampleFacts.ts';
import { flowWith, soundFlow } from '../domain/flow/flowSource.ts';

/**
 * Hostile flows and facts neither hang nor crash nor grant. A hang or a crash fails by the test's time limit; nothing is
 * measured.
 */

/** Refused, with few and short errors. */
function refusalOf(source: string): string {
  const parsed = parseFlow(source, 'hostile.flow.yaml');
  if (parsed.ok) throw new Error('the hostile source was taken for a flow');
  return shownOf(parsed.errors, source);
}

function shownOf(errors: readonly FlowError[], source: string): string {
  expect(errors.length).toBeGreaterThan(0);
  expect(errors.length).toBeLessThanOrEqual(51);
  const shown = errors.map((error) => formatFlowError(error, source)).join('\n');
  expect(shown.length).toBeLessThan(51 * 1_500);
  return shown;
}

type Sources = readonly (readonly [what: string, source: string])[];
const refuseEach = (sources: Sources): void => {
  test.each(sources)('%s: refused', (_what, source) => {
    refusalOf(source);
  });
};

const full = (piece: string) => piece.repeat(Math.floor(sourceLimit / piece.length));

describe('deep nesting', () => {
  refuseEach([
    ['nested lists', full('[')],
    ['nested lists that close', '['.repeat(sourceLimit / 2) + ']'.repeat(sourceLimit / 2)],
    ['nested maps', full('{a: ')],
    ['nested block lists', full('- ')],
    ['nested explicit keys', full('? ')],
    ['deep indentation', Array.from({ length: 700 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n')],
    ['seventeen levels, no more', `${'{a: '.repeat(17)}1${'}'.repeat(17)}`],
    ['a guard of parentheses', flowWith('that: owner.active', `that: '${'('.repeat(450)}true${')'.repeat(450)}'`)],
    ['a guard of negations', flowWith('that: owner.active', `that: '${'!'.repeat(900)}true'`)],
    [
      'a guard of conditions',
      flowWith('that: owner.active', `that: '${'true ? '.repeat(100)}true${' : true'.repeat(100)}'`),
    ],
    ['a guard of lists', flowWith('that: owner.active', `that: '${'['.repeat(400)}${']'.repeat(400)} == []'`)],
  ]);
});

describe('huge numbers', () => {
  refuseEach([
    ['a number of the whole size', `a: ${'9'.repeat(sourceLimit - 3)}`],
    ['an infinite count', flowWith('count: 2', 'count: .inf')],
    ['a count that is not a number', flowWith('count: 2', 'count: .nan')],
    ['a huge count', flowWith('count: 2', 'count: 99999999999999999999')],
    ['a huge count in exponent notation', flowWith('count: 2', 'count: 1e400')],
    ['a hexadecimal count', flowWith('count: 2', 'count: 0xffffffffffffffff')],
    ['a negative count', flowWith('count: 2', 'count: -2')],
    ['a duration of a billion years', flowWith('requestTtl: P3D', 'requestTtl: P999999999D')],
    ['a duration of a thousand digits', flowWith('requestTtl: P3D', `requestTtl: P${'9'.repeat(1_000)}D`)],
    ['a number in a guard that no fact can be', flowWith('risk.score > 10', 'risk.score > 99999999999999999999')],
    ['a duration in a guard that overflows', flowWith('owner.active', '\'duration("999999999h") > duration("1h")\'')],
  ]);
});

describe('keys of prototypes', () => {
  test.each(['__proto__', 'constructor', 'prototype'])(
    '%s is refused wherever it is, and changes no prototype',
    (key) => {
      for (const source of [
        flowWith('kind: Flow', `kind: Flow\n${key}: {polluted: true}`),
        flowWith('{environment: production}}', `{labels: {${key}: {polluted: true}}}}`),
        flowWith('people: {pia:', `people: {${key}: {groups: [security]}, pia:`),
        flowWith('kind: Flow', `kind: Flow\n"${key.replace('o', '\\u006f')}": {polluted: true}`),
      ]) {
        expect(refusalOf(source)).toContain(`'${key}' cannot be a key`);
      }
      expect(Reflect.get({}, 'polluted')).toBeUndefined();
    },
  );

  test.each(['toString', 'hasOwnProperty', '__defineGetter__', 'valueOf'])(
    'what every object has, such as %s, is no fact and no person',
    (key) => {
      expect(refusalOf(flowWith('owner.active', `owner.${key}`))).toContain(`no field '${key}'`);
      refusalOf(flowWith('by: pia', `by: ${key}`));
      expect(compileGuard(key).ok).toBe(false);
      expect(evaluateGuard(`subject.labels.${key} == "x"`, exampleFacts)).toHaveProperty('error');
    },
  );
});

describe('look-alike names', () => {
  refuseEach([
    ['a Cyrillic letter in a name', flowWith('name: sound', 'name: s\u043eund')],
    ['full-width letters in a stage id', flowWith('id: review', 'id: \uff52eview')],
    ['a Cyrillic letter in a group', flowWith('group:security,', 'group:s\u0435curity,')],
    ['a Cyrillic letter in a guard', flowWith('"production"', '"pr\u043eduction"')],
    ['a Greek letter in a key', flowWith('kind: Flow', 'k\u03b9nd: Flow')],
    ['a direction mark in a comment', soundFlow.replace('kind: Flow', 'kind: Flow # \u202e')],
    ['a soft hyphen in a description', flowWith('sound in every part', 'sou\u00adnd')],
    ['a no-break space between words', flowWith('sound in every part', 'sound\u00a0in')],
    ['an escaped direction mark', flowWith('description: sound in every part', 'description: "sound \\u202e in"')],
    ['an escaped bell', flowWith('description: sound in every part', 'description: "sound \\a in"')],
    ['many invisible characters', full('\u200b')],
    ['many control characters', full('\u0000')],
    ['many lone surrogates', full('\ud800')],
  ]);

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
});

const bomb = [
  'a: &a [x, x, x, x, x, x, x, x, x]',
  ...[...'bcdefghi'].map((letter, index) => `${letter}: &${letter} [${`*${'abcdefghi'[index]}, `.repeat(9)}]`),
].join('\n');

describe('YAML that is more than it seems', () => {
  refuseEach([
    ['a bomb of aliases', bomb],
    ['an alias of itself', 'a: &a [*a]'],
    ['a merge key', 'base: &base {a: 1}\nkind: {<<: *base}'],
    ['many ampersands', full('&')],
    ['many stars', full('*a ')],
    ['many exclamation marks', full('!')],
    ['a binary tag', flowWith('name: sound', 'name: !!binary aGVsbG8=')],
    ['a set tag', flowWith('[requester, owner]', '!!set {requester, owner}')],
    ['a tag of some language', flowWith('name: sound', 'name: !!js/function "function () {}"')],
    ['YAML 1.1, where yes is true', `%YAML 1.1\n---\n${soundFlow}`],
    ['a tag directive', `%TAG ! tag:example.com,2000:\n---\n${soundFlow}`],
    ['many directives', `${full('%YAML 1.1\n').slice(0, -20)}---\na: yes`],
    ['a second document', `${soundFlow}---\n${soundFlow}`],
    ['many documents', full('---\n')],
    ['a complex key', flowWith('kind: Flow', '? [kind]\n: Flow')],
  ]);
});

describe('duplicate keys', () => {
  refuseEach([
    ['the same key many times', full('kind: Flow\n')],
    ['a second list of stages', `${soundFlow}stages: [{id: issue, effect: issue}]\n`],
    ['a second count', flowWith('count: 2', 'count: 2, count: 1')],
    ['a second key by an escape', flowWith('count: 2', 'count: 2, "c\\u006funt": 1')],
    ['a second label', flowWith('{environment: production}}', '{labels: {team: a, team: b}}}')],
  ]);
});

describe('size', () => {
  refuseEach([
    ['ten megabytes', 'a'.repeat(10_000_000)],
    ['ten megabytes of newlines', '\n'.repeat(10_000_000)],
    ['ten megabytes behind a sound flow', soundFlow + '# more\n'.repeat(1_500_000)],
    ['many keys', Array.from({ length: 25_000 }, (_, index) => `k${index}: 1`).join('\n')],
    ['many commas', `[${','.repeat(sourceLimit - 2)}]`],
    ['many quotes', full('"')],
    ['a key of the whole size', `${'a'.repeat(sourceLimit - 3)}: 1`],
    ['a guard of the whole size', flowWith('that: owner.active', `that: '${'!'.repeat(sourceLimit - 2_000)}true'`)],
    [
      'a thousand stages',
      flowWith('  - {id: tell', `${'  - {id: s, notify: {to: [owner]}}\n'.repeat(1_000)}  - {id: tell`),
    ],
    ['a thousand tests', soundFlow + '  - {name: t, expect: {outcome: waiting}}\n'.repeat(1_000)],
    ['a thousand events', flowWith('events: [', `events: [${'{wait: PT1S}, '.repeat(1_000)}`)],
  ]);
});

describe('files of tests', () => {
  test.each([
    ['deep nesting', full('- ')],
    ['a bomb of aliases', bomb],
    ['duplicate keys', full('kind: FlowTests\n').slice(0, 10_000)],
    ['a key of prototypes', 'apiVersion: tenure/v1\n__proto__: {flow: sound}\n'],
    [
      'a look-alike',
      'apiVersion: tenure/v1\nkind: FlowTests\nflow: s\u043eund\ntests: [{name: a, expect: {outcome: waiting}}]',
    ],
    ['ten megabytes', 'a'.repeat(10_000_000)],
  ])('%s: refused, as in a flow', (_what, source) => {
    const parsed = parseFlowTests(source, 'hostile.flow-tests.yaml', [flowIn(soundFlow)]);
    if (parsed.ok) throw new Error('the hostile source was taken for tests');
    shownOf(parsed.errors, source);
  });
});

describe('guards that would run away', () => {
  refuseEach(
    [
      'owner.id.matches("^(a+)+$")',
      'subject.scopes.all(a, subject.scopes.all(b, subject.scopes.all(c, a == b || b == c)))',
      'subject.scopes.map(s, s + s).size() > 0',
      'subject.scopes.exists(s, subject.purpose.contains(subject.purpose + s))',
      'subject.purpose * 2 == subject.purpose',
      'timestamp(subject.name) < timestamp(now)',
    ].map((guard) => [guard, flowWith('that: owner.active', `that: '${guard}'`)]),
  );
});

describe('facts', () => {
  const deep = Array.from({ length: 10_000 }).reduce<unknown>((inner) => [inner], 'end');
  const throwing = new Proxy(
    {},
    {
      get: () => {
        throw new Error('hostile');
      },
      ownKeys: () => {
        throw new Error('hostile');
      },
    },
  );
  const hostile: readonly (readonly [what: string, value: unknown])[] = [
    ['nothing', undefined],
    ['null', null],
    ['deep nesting', deep],
    ['a huge number', 1e308],
    ['no number', Number.NaN],
    ['a huge integer', 2n ** 4_096n],
    ['a megabyte of text', 'a'.repeat(1_000_000)],
    ['a million entries', new Array(1_000_000).fill('a')],
    ['a list with holes', new Array(3)],
    ['an object that throws', throwing],
    ['an object that claims to be true', { valueOf: () => true, toString: () => 'true' }],
    ['an inherited value', Object.create({ active: true, length: 1 })],
    ['a function', () => true],
    ['a date', new Date(0)],
    ['an instant without offset', '2026-01-01T00:00:00'],
    ['an impossible day', '2026-02-30T00:00:00Z'],
    ['the text true', 'true'],
    ['a look-alike', 'pr\u043eduction'],
  ];

  const shipped = readFileSync(new URL('../../flows/onboarding-default.flow.yaml', import.meta.url), 'utf8');
  const flow = flowIn(shipped);

  test.each(hostile)('%s in the place of any fact that a guard reads never issues', (_what, value) => {
    for (const path of ['owner.active', 'subject.environment', 'subject.expiresAt']) {
      const [root = '', field = ''] = path.split('.');
      const given = { [root]: { [field]: value } };
      const result = runFlowTest(flow, { name: path, given, events: [], expect: { outcome: 'completed' } });
      expect(result.passed).toBe(false);
      if (!result.passed) expect(['denied', 'not-covered', 'guard-error']).toContain(result.got.outcome);
    }
  });

  test.each(hostile)(
    '%s gives a guard an answer only where it is of the type that the guard was checked for',
    (_what, value) => {
      const facts = (root: string, field: string) =>
        ({ ...exampleFacts, [root]: { ...Reflect.get(exampleFacts, root), [field]: value } }) as typeof exampleFacts;
      expect(evaluateGuard('owner.active', facts('owner', 'active'))).toHaveProperty('error');
      expect(evaluateGuard('risk.score < 100', facts('risk', 'score'))).toHaveProperty('error');
      expect(evaluateGuard('subject.scopes.all(s, s != "")', facts('subject', 'scopes'))).toHaveProperty('error');
      expect(
        evaluateGuard('timestamp(subject.expiresAt) > timestamp(now)', facts('subject', 'expiresAt')),
      ).toHaveProperty('error');
    },
  );
});

function flowIn(source: string): Flow {
  const parsed = parseFlow(source, 'shipped.flow.yaml');
  if (!parsed.ok) throw new Error('the shipped flow does not parse');
  return parsed.flow;
}

test('neither reader ever throws, whatever the source', () => {
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
      const read = [parseFlow(source, 'f'), parseFlowTests(source, 't', [])];
      for (const { line, column } of read.flatMap((parsed) => (parsed.ok ? [] : parsed.errors))) {
        expect(line).toBeGreaterThanOrEqual(1);
        expect(line).toBeLessThanOrEqual(source.split('\n').length);
        expect(column).toBeGreaterThanOrEqual(1);
      }
    }),
    { numRuns: 500 },
  );
});
