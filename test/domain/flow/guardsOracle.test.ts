import { isCelError, run } from '@bufbuild/cel';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type PublicationRequestFacts,
  requesterKinds,
  type StepUpRequestFacts,
  triggers,
} from '../../../domain/flow/facts.ts';
import { factTypes } from '../../../domain/flow/guardFacts.ts';
import { guardFunctions } from '../../../domain/flow/guardLanguage.ts';
import { compileGuard, evaluateGuard } from '../../../domain/flow/guards.ts';
import { identityKinds, requestKinds } from '../../../domain/flow/language.ts';

/**
 * Another implementation of CEL, which runs the cel-spec conformance suite, must agree with ours on every guard that our
 * language allows: the same value, or an error in both.
 */

/** Few values, so that comparisons are true often enough to mean something. */
const word = fc.constantFrom('', 'a', 'b', 'ab', 'a:admin', 'prod', 'é', '𝒶b', 'constructor', 'it\'s "so"\\\n');
const words = fc.array(word, { maxLength: 5 });
const instant = fc
  .integer({ min: Date.UTC(2026, 0), max: Date.UTC(2027, 0) })
  .map((ms) => new Date(ms - (ms % 43_200_000)).toISOString());
const person = { id: word, active: fc.boolean(), groups: words };

/** Of a step-up and of a publication at once: no request has both, and every guard finds what it reads. */
type AllFacts = StepUpRequestFacts & PublicationRequestFacts;

const count = fc.integer({ min: 0, max: 60 });
const anyFacts: fc.Arbitrary<AllFacts> = fc.record({
  subject: fc.record({
    id: word,
    kind: fc.constantFrom(...identityKinds),
    name: word,
    environment: word,
    purpose: word,
    integration: word,
    scopes: words,
    consumers: words,
    labels: fc.dictionary(fc.constantFrom('team', 'tier', 'constructor'), word),
    expiresAt: instant,
    issuer: word,
    store: word,
  }),
  owner: fc.record(person),
  publication: fc.record({
    names: words,
    operations: fc.array(fc.constantFrom(...requestKinds), { maxLength: 3 }),
    isRollback: fc.boolean(),
    retires: count,
    weakens: count,
    strengthens: count,
    changesDecisions: count,
  }),
  tool: fc.record({ name: word, action: word, resource: word, workspace: word }),
  policy: fc.record({ coversAction: fc.boolean(), coversResource: fc.boolean(), coversWorkspace: fc.boolean() }),
  delegation: fc.record({ isVerified: fc.boolean() }),
  requester: fc.record({ ...person, kind: fc.constantFrom(...requesterKinds) }),
  onBehalfOf: fc.record(person),
  request: fc.record({
    kind: fc.constantFrom(...requestKinds),
    trigger: fc.constantFrom(...triggers),
    justification: word,
  }),
  risk: fc.record({ score: fc.integer({ min: -5, max: 100 }) }),
  now: instant,
});

/** Every fact that a guard can read, with its type. */
const factPaths = [...factTypes].flatMap(([root, type]) =>
  typeof type === 'string'
    ? [[root, type] as const]
    : Object.entries(type).map(([field, fieldType]) => [`${root}.${field}`, fieldType] as const),
);
const factsOf = (...types: string[]) =>
  fc.constantFrom(...factPaths.filter(([, type]) => types.includes(type)).map(([path]) => path));

const join = (...parts: (fc.Arbitrary<string> | string)[]): fc.Arbitrary<string> =>
  fc
    .tuple(...parts.map((part) => (typeof part === 'string' ? fc.constant(part) : part)))
    .map((texts) => texts.join(''));

const hex = (codePoint: number, digits: number): string => codePoint.toString(16).padStart(digits, '0');
const longEscape = (codePoint: number): string => `\\U${hex(codePoint, 8)}`;
function shortestEscape(codePoint: number): string {
  if (codePoint < 0x100) return `\\x${hex(codePoint, 2)}`;
  return codePoint < 0x10000 ? `\\u${hex(codePoint, 4)}` : longEscape(codePoint);
}
function inAscii(text: string, written: (codePoint: number) => string): string {
  const letters = [...text].map((letter) =>
    /[^ -~]|["'\\]/.test(letter) ? written(letter.codePointAt(0) ?? 0) : letter,
  );
  return letters.join('');
}

/** A text in each of CEL's notations. */
const quoted = fc.oneof(
  fc
    .tuple(word, fc.constantFrom('"', "'", '"""', "'''"), fc.constantFrom(longEscape, shortestEscape))
    .map(([text, quote, written]) => `${quote}${inAscii(text, written)}${quote}`),
  fc.constantFrom('r"a"', "r'a:admin'", String.raw`r"\n"`, String.raw`"\n\\\""`),
);

const comparison = fc.constantFrom(' < ', ' <= ', ' > ', ' >= ', ' == ', ' != ');
const equality = fc.constantFrom(' == ', ' != ');
const textCall = fc.constantFrom('.startsWith(', '.endsWith(', '.contains(');
const walk = fc.constantFrom('.exists(', '.all(');

/** Loops do not nest, so what stands in one has none of its own. */
const loopText = fc.oneof(quoted, fc.constantFrom('subject.name', 'owner.id', 'subject.labels.tier', '(s + "a")'));

type Production = 'guard' | 'text' | 'number' | 'list' | 'numbers' | 'instant' | 'duration' | 'inLoop';

/** Guards by grammar, each production of the language at least once: that none is forgotten is asserted below. */
const { guard } = fc.letrec<Record<Production, string>>((tie) => ({
  text: fc.oneof(
    { depthSize: 'small' },
    quoted,
    factsOf('string', 'instant'),
    fc.constantFrom('subject.labels.team', 'subject.labels["tier"]', 'subject.labels["absent"]'),
    join('subject.labels[', tie('text'), ']'),
    join('(', tie('text'), ' + ', tie('text'), ')'),
    join('(', tie('guard'), ' ? ', tie('text'), ' : ', tie('text'), ')'),
  ),
  number: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom('0', '1', '7', '60', '0x3c', '-1', 'size(subject.labels)', 'subject.labels.size()'),
    factsOf('int'),
    join('size(', tie('text'), ')'),
    join(tie('text'), '.size()'),
    join('size(', tie('list'), ')'),
    join(tie('list'), '.size()'),
    join('-(', tie('number'), ')'),
    join('(', tie('number'), fc.constantFrom(' + ', ' - '), tie('number'), ')'),
    join('(', tie('guard'), ' ? ', tie('number'), ' : ', tie('number'), ')'),
  ),
  list: fc.oneof(
    { depthSize: 'small' },
    factsOf('list<string>'),
    fc.constantFrom('["a", "b"]', '[]'),
    join('[', tie('text'), ', ', tie('text'), ']'),
    join(factsOf('list<string>'), '.filter(s, ', tie('inLoop'), ')'),
    join('["a", "ab"].filter(s, ', tie('inLoop'), ')'),
  ),
  numbers: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom('[1, 7, 60]', '[-1]'),
    join('[risk.score, ', tie('number'), ']'),
    join('[0, 1, 60].filter(n, n', comparison, 'risk.score)'),
  ),
  instant: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom(
      'timestamp(now)',
      'timestamp(subject.expiresAt)',
      'timestamp("2026-06-01T02:00:00+02:00")',
      'timestamp("2026-06-01T00:00:00.500Z")',
    ),
    join('(', tie('instant'), fc.constantFrom(' + ', ' - '), tie('duration'), ')'),
    join('(', tie('guard'), ' ? ', tie('instant'), ' : ', tie('instant'), ')'),
  ),
  duration: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom(
      'duration("0s")',
      'duration("2160h")',
      'duration("1h30m")',
      'duration("1.5h")',
      'duration("250ms")',
      'duration("86400s")',
    ),
    join('(', tie('instant'), ' - ', tie('instant'), ')'),
  ),
  inLoop: fc.oneof(
    { depthSize: 'small' },
    join('s', equality, loopText),
    join('s', textCall, quoted, ')'),
    join(loopText, textCall, 's)'),
    fc.constantFrom('s in owner.groups', 's in subject.labels', 'has(subject.labels.team)', 'subject.labels[s] == "a"'),
    fc.constantFrom('size(s) > 1', 's.size() < 2', 'owner.active', 'risk.score > 7'),
    join('!(', tie('inLoop'), ')'),
    join('(', tie('inLoop'), fc.constantFrom(' && ', ' || '), tie('inLoop'), ')'),
    join('(', tie('inLoop'), ' ? ', tie('inLoop'), ' : ', tie('inLoop'), ')'),
  ),
  guard: fc.oneof(
    { depthSize: 'medium', withCrossShrink: true },
    factsOf('bool'),
    fc.constantFrom('true', 'false', 'has(subject.labels.team)', '"tier" in subject.labels'),
    join(tie('text'), equality, tie('text')),
    join(tie('text'), textCall, tie('text'), ')'),
    join(tie('text'), ' in ', tie('list')),
    join(tie('text'), ' in subject.labels'),
    join(tie('number'), comparison, tie('number')),
    join(tie('number'), ' in ', tie('numbers')),
    join(tie('numbers'), equality, tie('numbers')),
    join(tie('numbers'), walk, 'n, n', comparison, 'risk.score)'),
    join(tie('instant'), comparison, tie('instant')),
    join(tie('instant'), ' in [', tie('instant'), ', timestamp(now)]'),
    join(tie('duration'), comparison, tie('duration')),
    join(tie('duration'), ' in [', tie('duration'), ']'),
    join(tie('list'), equality, tie('list')),
    join(tie('list'), walk, 's, ', tie('inLoop'), ')'),
    join('(', tie('guard'), ')', equality, '(', tie('guard'), ')'),
    join('(', tie('guard'), ') in [', tie('guard'), ', true]'),
    join('!(', tie('guard'), ')'),
    join('(', tie('guard'), fc.constantFrom(' && ', ' || '), tie('guard'), ')'),
    join('(', tie('guard'), ' ? ', tie('guard'), ' : ', tie('guard'), ')'),
  ),
}));

/** Numbers as CEL's, and maps whatever their keys are called. */
function celValue(value: unknown): unknown {
  if (typeof value === 'number') return BigInt(value);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return new Map(Object.entries(value).map(([key, entry]) => [key, celValue(entry)]));
}

function oracle(text: string, facts: AllFacts): boolean | 'error' {
  const roots = Object.entries(facts).map(([root, value]) => [root, celValue(value)]);
  const value = run(text, Object.fromEntries(roots));
  if (isCelError(value)) return 'error';
  if (typeof value !== 'boolean') throw new Error(`the oracle gave ${typeof value} for ${text}`);
  return value;
}

/** As they are written; the functions and the facts come from the language itself. */
const operators = [
  '&&',
  '||',
  '!(',
  ' ? ',
  ' == ',
  ' != ',
  ' < ',
  ' <= ',
  ' > ',
  ' >= ',
  ' in ',
  ' + ',
  ' - ',
  '-(',
  '[',
];

test('an independent implementation of CEL gives the same answer to every guard of the language', () => {
  const seen = { true: 0, false: 0, error: 0 };
  const read = new Set<string>();
  const written = new Set<string>();
  const parts = [...operators, ...guardFunctions.map((name) => `${name}(`)];
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
      for (const path of compilation.guard.reads) read.add(path);
      for (const part of parts) if (text.includes(part)) written.add(part);
      expect(answer).toBe(oracle(text, facts));
    }),
    { numRuns: 2_500, maxSkipsPerRun: 10 },
  );
  // The comparison means something only if all three answers come up, and with them every part of the language.
  expect(Math.min(seen.true, seen.false, seen.error)).toBeGreaterThan(50);
  expect(factPaths.map(([path]) => path).filter((path) => !read.has(path))).toEqual([]);
  expect(parts.filter((part) => !written.has(part))).toEqual([]);
});
