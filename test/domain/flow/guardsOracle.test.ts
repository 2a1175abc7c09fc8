import { isCelError, run } from '@bufbuild/cel';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { IdentityRequestFacts as Facts } from '../../../domain/flow/facts.ts';
import { compileGuard, evaluateGuard } from '../../../domain/flow/guards.ts';
import { exampleFacts } from './exampleFacts.ts';

/**
 * Another implementation of CEL, which runs the cel-spec conformance suite, must agree with ours on every guard that our
 * language allows: the same value, or an error in both.
 */

/** Few values, so that comparisons are true often enough to mean something. */
const word = fc.constantFrom('', 'a', 'b', 'ab', 'a:admin', 'prod', 'é', '𝒶b', 'constructor');
const instant = fc
  .integer({ min: Date.UTC(2026, 0), max: Date.UTC(2027, 0) })
  .map((ms) => new Date(ms - (ms % 43_200_000)).toISOString());

const anyFacts: fc.Arbitrary<Facts> = fc
  .record({
    name: word,
    environment: word,
    scopes: fc.array(word, { maxLength: 5 }),
    labels: fc.dictionary(fc.constantFrom('team', 'tier', 'constructor'), word),
    expiresAt: instant,
    active: fc.boolean(),
    ownerId: word,
    groups: fc.array(word, { maxLength: 5 }),
    score: fc.integer({ min: -5, max: 100 }),
    now: instant,
  })
  .map(({ name, environment, scopes, labels, expiresAt, active, ownerId, groups, score, now }) => ({
    ...exampleFacts,
    subject: { ...exampleFacts.subject, name, environment, scopes, labels, expiresAt },
    owner: { id: ownerId, active, groups },
    risk: { score },
    now,
  }));

const quoted = word.map(
  (text) =>
    `"${[...text].map((letter) => (letter <= '~' ? letter : `\\U${(letter.codePointAt(0) ?? 0).toString(16).padStart(8, '0')}`)).join('')}"`,
);
const join = (...parts: (fc.Arbitrary<string> | string)[]): fc.Arbitrary<string> =>
  fc
    .tuple(...parts.map((part) => (typeof part === 'string' ? fc.constant(part) : part)))
    .map((texts) => texts.join(''));

const comparison = fc.constantFrom(' < ', ' <= ', ' > ', ' >= ', ' == ', ' != ');
const equality = fc.constantFrom(' == ', ' != ');
const textCall = fc.constantFrom('.startsWith(', '.endsWith(', '.contains(');

/** Loops do not nest, so what stands in one has none of its own. */
const loopText = fc.oneof(quoted, fc.constantFrom('subject.name', 'owner.id', 'subject.labels.tier', '(s + "a")'));

/** Guards by grammar, each production of the language at least once. */
const { guard } = fc.letrec<Record<'guard' | 'text' | 'number' | 'list' | 'instant' | 'duration' | 'inLoop', string>>(
  (tie) => ({
    text: fc.oneof(
      { depthSize: 'small' },
      quoted,
      fc.constantFrom(
        'subject.name',
        'subject.environment',
        'owner.id',
        'now',
        'subject.labels.team',
        'subject.labels["tier"]',
      ),
      join('(', tie('text'), ' + ', quoted, ')'),
      join('(', tie('guard'), ' ? ', tie('text'), ' : ', tie('text'), ')'),
    ),
    number: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom('0', '1', '7', '60', 'risk.score', '-risk.score', 'size(subject.labels)'),
      join('size(', tie('text'), ')'),
      join('size(', tie('list'), ')'),
      join(tie('list'), '.size()'),
      join('(', tie('number'), fc.constantFrom(' + ', ' - '), tie('number'), ')'),
    ),
    list: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom('subject.scopes', 'owner.groups', '["a", "b"]', '[]'),
      join('subject.scopes.filter(s, ', tie('inLoop'), ')'),
    ),
    instant: fc.oneof(
      fc.constantFrom(
        'timestamp(now)',
        'timestamp(subject.expiresAt)',
        'timestamp("2026-06-01T02:00:00+02:00")',
        'timestamp("2026-06-01T00:00:00.500Z")',
      ),
      join('(timestamp(now)', fc.constantFrom(' + ', ' - '), tie('duration'), ')'),
    ),
    duration: fc.constantFrom(
      'duration("0s")',
      'duration("2160h")',
      'duration("1h30m")',
      'duration("1.5h")',
      'duration("250ms")',
      'duration("86400s")',
    ),
    inLoop: fc.oneof(
      { depthSize: 'small' },
      join('s', equality, loopText),
      join('s', textCall, quoted, ')'),
      join(loopText, textCall, 's)'),
      fc.constant('s in owner.groups'),
      fc.constant('size(s) > 1'),
      join('!(', tie('inLoop'), ')'),
      join('(', tie('inLoop'), fc.constantFrom(' && ', ' || '), tie('inLoop'), ')'),
    ),
    guard: fc.oneof(
      { depthSize: 'medium', withCrossShrink: true },
      fc.constantFrom('owner.active', 'true', 'false', 'has(subject.labels.team)', '"tier" in subject.labels'),
      join(tie('text'), equality, tie('text')),
      join(tie('text'), textCall, tie('text'), ')'),
      join(tie('text'), ' in ', tie('list')),
      join(tie('number'), comparison, tie('number')),
      join(tie('number'), ' in [1, 7, 60]'),
      join(tie('instant'), comparison, tie('instant')),
      join('(', tie('instant'), ' - ', tie('instant'), ')', comparison, tie('duration')),
      join('subject.scopes', equality, fc.constantFrom('owner.groups', '["a", "b"]', 'subject.scopes')),
      join('subject.scopes', fc.constantFrom('.exists(s, ', '.all(s, '), tie('inLoop'), ')'),
      join('!(', tie('guard'), ')'),
      join('(', tie('guard'), fc.constantFrom(' && ', ' || '), tie('guard'), ')'),
      join('(', tie('guard'), ' ? ', tie('guard'), ' : ', tie('guard'), ')'),
    ),
  }),
);

function oracle(text: string, facts: Facts): boolean | 'error' {
  const map = (value: object) => new Map(Object.entries(value));
  const value = run(text, {
    subject: new Map<string, unknown>([...map(facts.subject), ['labels', map(facts.subject.labels)]]) as never,
    owner: map(facts.owner) as never,
    risk: new Map([['score', BigInt(facts.risk.score)]]),
    now: facts.now,
  });
  if (isCelError(value)) return 'error';
  if (typeof value !== 'boolean') throw new Error(`the oracle gave ${typeof value} for ${text}`);
  return value;
}

test('an independent implementation of CEL gives the same answer to every guard of the language', () => {
  const seen = { true: 0, false: 0, error: 0 };
  fc.assert(
    fc.property(guard, anyFacts, (text, facts) => {
      const compilation = compileGuard(text);
      if (!compilation.ok) {
        // Too long, too deep or too costly: nothing to compare. Any other refusal is a guard that ours does not understand.
        fc.pre(!/more than|Exceeded/.test(compilation.error.reason));
        throw new Error(`${text}: ${compilation.error.reason}`);
      }
      const ours = evaluateGuard(text, facts);
      const answer = 'value' in ours ? ours.value : 'error';
      seen[`${answer}`]++;
      expect(answer).toBe(oracle(text, facts));
    }),
    { numRuns: 4_000, maxSkipsPerRun: 10 },
  );
  // The comparison means something only if all three answers come up.
  expect(Math.min(seen.true, seen.false, seen.error)).toBeGreaterThan(50);
});
