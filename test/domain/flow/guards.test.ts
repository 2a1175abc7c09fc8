import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Facts } from '../../../domain/flow/facts.ts';
import { factEntriesLimit } from '../../../domain/flow/guardFacts.ts';
import { guardCostBudget } from '../../../domain/flow/guardLanguage.ts';
import { compileGuard, evaluateGuard, guardLength } from '../../../domain/flow/guards.ts';
import { exampleFacts } from './exampleFacts.ts';

/** Facts with one of them replaced by whatever a faulty caller could pass. */
function factsWith(root: string, field: string, value: unknown): Facts {
  const changed = { ...exampleFacts, [root]: { ...(Reflect.get(exampleFacts, root) as object), [field]: value } };
  return changed as unknown as Facts;
}

function reasonOf(guard: string): string {
  const compilation = compileGuard(guard);
  return compilation.ok ? 'compiles' : compilation.error.reason;
}

test.each([
  ['owner.active && owner.id != requester.id', true],
  ['subject.environment == "production" && subject.kind == "service-account"', true],
  ['timestamp(subject.expiresAt) - timestamp(now) <= duration("2160h")', true],
  ['timestamp(now) + duration("24h") > timestamp(subject.expiresAt)', false],
  ['timestamp(now) > timestamp("2026-11-05T13:00:00+01:00")', false],
  ['subject.scopes.exists(scope, scope.endsWith(":admin"))', false],
  ['subject.scopes.all(scope, scope.startsWith("payments:") || scope == "ledger:read")', true],
  ['size(subject.scopes.filter(scope, scope.contains("read"))) == 2', true],
  ['"payments" in owner.groups && !("security" in owner.groups)', true],
  ['subject.labels.team == subject.integration', true],
  ['"cost-center" in subject.labels ? subject.labels["cost-center"] == "7" : true', true],
  ['has(subject.labels.tier) && subject.labels.tier == "gold"', false],
  ['subject.labels.constructor == "acme"', true],
  ['risk.score >= 60 || risk.score + 5 < 20 || risk.score in [20, 40]', true],
  ['request.trigger == "pipeline" || onBehalfOf.active', false],
  ['subject.name == subject.integration + "-reader"', true],
  ['subject.name == "payments-\\u0072eader"', true],
])('%s is %s for the example facts', (guard, value) => {
  expect(evaluateGuard(guard, exampleFacts)).toEqual({ value });
});

test.each([
  ['sbuject.name == "x"', 0, /no fact 'sbuject'/, 'subject'],
  ['subject.enviroment == "x"', 8, /no field 'enviroment'/, 'environment'],
  ['true && owner.activ', 14, /no field 'activ'/, 'active'],
  ['subject.name.startswith("x")', 0, /'startswith' is not one of the functions/, 'startsWith'],
  ['subject.name == 5', 0, /no such overload: string == int/, undefined],
  ['risk.score > 1.5', 13, /whole numbers/, undefined],
  ['subject.scopes.exists(s, s == 1)', 25, /string == int/, undefined],
  ['owner.active && risk.score', 0, /bool operands/, undefined],
  ['subject.name', 0, /gives string, not true or false/, undefined],
  ['subject == owner', 0, /overload/, undefined],
  ['owner.active &&', 15, /end of the guard/, undefined],
  ['', 0, /end of the guard/, undefined],
  ['subject.environment = "x"', 20, /Unexpected character/, undefined],
])('%j is refused before it can run, at the offset of the mistake', (guard, offset, reason, suggestion) => {
  const compilation = compileGuard(guard);
  expect(compilation).toMatchObject({ ok: false, error: { offset, reason: expect.stringMatching(reason) } });
  if (!compilation.ok) expect(compilation.error.suggestion).toBe(suggestion);
});

test.each([
  ['regular expressions', 'subject.name.matches("^(a+)+$")', /'matches' is not one of/],
  ['nested loops', 'subject.scopes.all(a, owner.groups.exists(b, a == b))', /inside another loop/],
  [
    'loops in the condition of a filter',
    'size(subject.scopes.filter(a, owner.groups.exists(b, a == b))) > 0',
    /inside another loop/,
  ],
  ['mapping', 'subject.scopes.map(s, s + s) == subject.scopes', /'map' is not one of/],
  ['bindings', 'cel.bind(x, subject.name, x == x)', /not a fact/],
  ['untyped values', 'dyn(subject) == dyn(owner)', /'dyn' is not one of/],
  ['maps of its own', '{"a": "b"}.a == "b"', /not part of the guard language/],
  ['multiplication', 'risk.score * 2 > 1', /not part of the guard language/],
  ['time zones of the machine', 'timestamp(now).getHours("Europe/Lisbon") > 8', /'getHours' is not one of/],
  ['instants without offset', 'timestamp("2026-11-05T12:00:00") < timestamp(now)', /RFC 3339/],
  ['days that do not exist', 'timestamp("2026-02-30T12:00:00Z") < timestamp(now)', /RFC 3339/],
  ['computed instants', 'timestamp(subject.name) < timestamp(now)', /timestamp\(\) takes now/],
  ['computed durations', 'duration(subject.name) < duration("1s")', /duration\(\) takes a written one/],
  ['negative durations', 'timestamp(now) + duration("-1h") < timestamp(now)', /duration\(\) takes a written one/],
  ['durations past ten years', 'timestamp(now) + duration("87601h") > timestamp(now)', /at most ten years/],
  ['instants after a duration', 'duration("1h") + timestamp(now) < duration("1h")', /duration \+ instant/],
  ['sums of durations', 'duration("1h") + duration("1h") > duration("1s")', /duration \+ duration/],
  ['the order of texts', 'now < subject.expiresAt', /texts have no order/],
  ['has() on a fact, even a misspelt one', 'has(subject.nmae)', /has\(\) asks for a label/],
  ['positions in a list', 'subject.scopes[0] == "a"', /read by key/],
  ['facts by computed name', 'subject[subject.name] == "a"', /name a field/],
  ['loop variables that hide a fact', 'subject.scopes.all(owner, owner == "a")', /owner is a fact/],
  ['numbers no fact can reach', 'risk.score < 9007199254740993', /larger than any fact/],
  ['look-alike letters', 'subject.environment == "pr\u043eduction"', /ASCII/],
  ['hidden direction marks', 'owner.active \u202e|| true', /ASCII/],
])('%s are not part of the guard language', (_what, guard, reason) => {
  expect(reasonOf(guard)).toMatch(reason);
});

test('a guard longer than the limit is refused', () => {
  expect(reasonOf(`owner.active${' '.repeat(guardLength)}`)).toMatch(/more than 1000/);
});

test.each([
  '('.repeat(400),
  '['.repeat(400),
  `${'!'.repeat(900)}true`,
  `${'true?'.repeat(150)}true`,
  'a.'.repeat(400),
  `"${'\\'.repeat(500)}`,
])('deeply nested or broken syntax is refused, never thrown: %.12s…', (guard) => {
  expect(compileGuard(guard).ok).toBe(false);
});

test('a guard whose worst case is over the cost budget is refused, although small facts would be cheap', () => {
  expect(reasonOf('subject.scopes.all(s, subject.purpose.contains(request.justification))')).toMatch(
    `more than ${guardCostBudget}`,
  );
  expect(reasonOf('subject.scopes.all(s, s in owner.groups)')).toBe('compiles');
});

test('a compiled guard names the facts it reads, and evaluation looks at no others', () => {
  const compilation = compileGuard('owner.active && subject.scopes.exists(s, s == subject.name)');
  if (!compilation.ok) throw new Error(compilation.error.reason);
  expect([...compilation.guard.reads].sort()).toEqual(['owner.active', 'subject.name', 'subject.scopes']);
  expect(evaluateGuard(compilation.guard, factsWith('subject', 'expiresAt', 'never'))).toHaveProperty('value');
});

test.each([
  ['missing', undefined, /subject.environment is missing/],
  ['null', null, /subject.environment is missing/],
  ['a number', 7, /subject.environment is not text/],
  ['a list', ['production'], /subject.environment is not text/],
  ['an object that pretends', { toString: () => 'production' }, /subject.environment is not text/],
  ['too long', 'x'.repeat(10_001), /longer than/],
])('a guard over a fact that is %s gives an error, not a value', (_what, value, error) => {
  expect(evaluateGuard('subject.environment == "production"', factsWith('subject', 'environment', value))).toEqual({
    error: expect.stringMatching(error),
  });
  // Also where the fault would make the guard true.
  expect(
    evaluateGuard('subject.environment != "production"', factsWith('subject', 'environment', value)),
  ).toHaveProperty('error');
});

test.each([
  ['owner.active', 'owner', 'active', 'true'],
  ['risk.score < 60', 'risk', 'score', 12.5],
  ['risk.score < 60', 'risk', 'score', Number.NaN],
  ['risk.score < 60', 'risk', 'score', 2 ** 60],
  ['timestamp(subject.expiresAt) > timestamp(now)', 'subject', 'expiresAt', 'tomorrow'],
  ['timestamp(subject.expiresAt) > timestamp(now)', 'subject', 'expiresAt', '2027-01-15T00:00:00'],
  ['timestamp(subject.expiresAt) > timestamp(now)', 'subject', 'expiresAt', '2026-02-30T00:00:00Z'],
  ['size(subject.scopes) > 0', 'subject', 'scopes', Array.from({ length: factEntriesLimit + 1 }, () => 'a')],
  ['size(subject.scopes) > 0', 'subject', 'scopes', ['a', 5]],
  ['size(subject.scopes) == 0', 'subject', 'scopes', { length: 0 }],
  ['size(subject.labels) == 0', 'subject', 'labels', ['a']],
  ['size(subject.labels) == 1', 'subject', 'labels', { a: 1 }],
])('%s gives an error for %s.%s = %j', (guard, root, field, value) => {
  expect(evaluateGuard(guard, factsWith(root, field, value))).toHaveProperty('error');
});

test('an absent label is an error unless it was asked for first', () => {
  expect(evaluateGuard('subject.labels.tier == "gold"', exampleFacts)).toEqual({ error: 'No such key: tier' });
  expect(evaluateGuard('subject.labels.toString == "x"', exampleFacts)).toHaveProperty('error');
  expect(evaluateGuard('has(subject.labels.hasOwnProperty)', exampleFacts)).toEqual({ value: false });
});

test('facts inherited from a prototype do not count', () => {
  const inherited: unknown = Object.create(exampleFacts);
  expect(evaluateGuard('owner.active', inherited as Facts)).toEqual({ error: 'owner.active is missing' });
  const labels: unknown = JSON.parse('{"__proto__": "x", "team": "payments"}');
  expect(evaluateGuard('subject.labels.team == "payments"', factsWith('subject', 'labels', labels))).toEqual({
    value: true,
  });
  expect(Reflect.get({}, 'team')).toBeUndefined();
});

test('facts that throw when they are read give an error', () => {
  const hostile = {
    ...exampleFacts,
    owner: {
      get active(): boolean {
        throw new Error('canary-4711');
      },
    },
  };
  const result = evaluateGuard('owner.active', hostile as unknown as Facts);
  expect(result).toHaveProperty('error');
  expect(JSON.stringify(result)).not.toContain('canary-4711');
});

test('a guard that does not compile evaluates to its error', () => {
  expect(evaluateGuard('owner.active &&', exampleFacts)).toHaveProperty('error');
});

test('evaluateGuard never throws and never yields anything but a boolean or an error, whatever it is given', () => {
  const words = fc.constantFrom(
    'subject',
    'owner',
    '.',
    'active',
    'labels',
    'scopes',
    '(',
    ')',
    '[',
    ']',
    '"a"',
    "'",
    '&&',
    '||',
    '!',
    '==',
    'in',
    '<',
    '+',
    '-',
    '1',
    'true',
    'now',
    'timestamp',
    'duration',
    'exists',
    's',
    ',',
    '?',
    ':',
    '__proto__',
    'constructor',
    '\\u',
    '//',
    '{',
    '}',
    ' ',
  );
  const anyGuard = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.array(words, { maxLength: 25 }).map((parts) => parts.join('')),
  );
  const anyFacts = fc.oneof(
    fc.constant(exampleFacts),
    fc.record({ subject: fc.anything(), owner: fc.anything(), risk: fc.anything(), now: fc.anything() }),
    fc.anything(),
  );
  fc.assert(
    fc.property(anyGuard, anyFacts, (guard, facts) => {
      const result = evaluateGuard(guard, facts as Facts);
      expect('value' in result ? typeof result.value : typeof result.error).toBe(
        'value' in result ? 'boolean' : 'string',
      );
    }),
    { numRuns: 3_000 },
  );
});

test('the compile cache forgets the oldest guards and stays right', () => {
  for (let index = 0; index < 2_500; index++) expect(compileGuard(`risk.score == ${index}`).ok).toBe(true);
  expect(evaluateGuard('risk.score == 20', exampleFacts)).toEqual({ value: true });
  expect(evaluateGuard('risk.score == 21', exampleFacts)).toEqual({ value: false });
});
