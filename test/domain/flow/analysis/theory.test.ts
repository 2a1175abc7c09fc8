import fc from 'fast-check';
import { expect, test } from 'vitest';
import { flowGuardFormula } from '../../../../domain/flow/analysis/flowGuardFormula.ts';
import { type Formula, fails, not } from '../../../../domain/flow/analysis/formula.ts';
import { guardFormula } from '../../../../domain/flow/analysis/guardFormula.ts';
import { canBe, implies, TooComplex } from '../../../../domain/flow/analysis/theory.ts';
import { evaluateGuard } from '../../../../domain/flow/guards.ts';
import type { Flow } from '../../../../domain/flow/language.ts';
import { riskOf } from '../../../../domain/flow/risk.ts';
import { anyFacts, anyGuard, anyGuardBeforeRisk } from './arbitraryGuards.ts';
import { type Outcome, outcomeOn } from './formulaOnFacts.ts';

const formula = (guard: string): Formula => guardFormula(guard, 'now');

test('the formula of a guard has the outcome that the evaluator gives, for all facts', () => {
  fc.assert(
    fc.property(anyGuard, anyFacts, (guard, facts) => {
      const answer = evaluateGuard(guard, facts);
      expect(outcomeOn(formula(guard), facts)).toBe('error' in answer ? 'fails' : String(answer.value));
    }),
    { numRuns: 1_000 },
  );
});

test('no outcome that some facts give is called impossible, alone or beside another guard', () => {
  fc.assert(
    fc.property(anyGuard, anyGuard, anyFacts, (one, another, facts) => {
      const conditions = [one, another].map((guard) => conditionOf(formula(guard), outcomeOn(formula(guard), facts)));
      expect(canBe(conditions)).toBe(true);
    }),
    { numRuns: 500 },
  );
});

const anyWeights = fc.array(fc.record({ when: anyGuardBeforeRisk, add: fc.constantFrom(-40, 15, 25, 60) }), {
  maxLength: 3,
});

test('what a guard asks of the risk has the outcome of the weights, for all facts, and is never called impossible', () => {
  fc.assert(
    fc.property(anyGuard, anyWeights, anyFacts, (guard, weights, facts) => {
      const flow = weighing(...weights);
      const risk = riskOf(flow, facts);
      fc.pre(!('error' in risk));
      const answer = evaluateGuard(guard, { ...facts, risk: { score: risk.score } });
      // Of a comparison with anything but a number, the question stays free: it may have either answer.
      fc.pre(!/risk/.test(guard) || !('error' in answer));
      const weighed = flowGuardFormula(flow, guard, 'now');
      expect(outcomeOn(weighed, facts)).toBe('error' in answer ? 'fails' : String(answer.value));
      expect(canBe([conditionOf(weighed, outcomeOn(weighed, facts))])).toBe(true);
    }),
    { numRuns: 500 },
  );
});

function weighing(...weights: readonly { readonly when: string; readonly add: number }[]): Pick<Flow, 'on' | 'risk'> {
  if (weights.length === 0) return { on: 'onboarding' };
  return { on: 'onboarding', risk: { weights: weights.map((one, index) => ({ ...one, because: `weight ${index}` })) } };
}

test.each<[string, string, boolean]>([
  ['risk.score >= 70', 'subject.environment == "production"', true],
  ['risk.score >= 70', '"admin" in subject.scopes', true],
  ['subject.environment == "production" && "admin" in subject.scopes && !owner.active', 'risk.score == 70', true],
  ['risk.score == 50', 'owner.active', true],
  ['risk.score >= 30', 'subject.environment == "production"', false],
  ['true', 'risk.score <= 70 && risk.score >= -20', true],
  ['true', 'risk.score <= 69', false],
])('of weights 30, 40 and -20, %s implies %s: %s', (one, another, expected) => {
  const flow = weighing(
    { when: 'subject.environment == "production"', add: 30 },
    { when: '"admin" in subject.scopes', add: 40 },
    { when: 'owner.active', add: -20 },
  );
  const of = (guard: string): Formula => flowGuardFormula(flow, guard, 'now');
  expect(implies([of(one)], of(another))).toBe(expected);
});

test('without weights the risk is 0, and nothing else', () => {
  const of = (guard: string): Formula => flowGuardFormula({ on: 'onboarding' }, guard, 'now');
  expect(implies([], of('risk.score == 0'))).toBe(true);
  expect(canBe([of('risk.score > 0')])).toBe(false);
});

test('a question that stays free is another one under other weights', () => {
  const guard = 'risk.score > size(subject.scopes)';
  const [few, more] = [1, 2].map((add) => flowGuardFormula(weighing({ when: 'owner.active', add }), guard, 'now'));
  if (few === undefined || more === undefined) throw new Error('two formulas');
  expect(canBe([few, not(more)])).toBe(true);
  expect(canBe([few, not(few)])).toBe(false);
});

function conditionOf(of: Formula, outcome: Outcome): Formula {
  if (outcome === 'true') return of;
  return outcome === 'false' ? not(of) : fails(of);
}

test.each([
  ['subject.environment == "production"', 'subject.environment in ["production", "staging"]'],
  ['subject.environment != "a" && subject.environment != "b"', '!(subject.environment in ["b", "a"])'],
  ['"payments" == subject.labels.team', 'has(subject.labels.team)'],
  ['subject.labels["team"] != "x"', '"team" in subject.labels'],
  ['risk.score > 60', '50 < risk.score'],
  ['risk.score >= 60', '!(risk.score < 60)'],
  ['risk.score + 1 > 60', 'risk.score >= 60'],
  ['requester.id == owner.id', 'owner.id == requester.id'],
  [
    'timestamp(subject.expiresAt) <= timestamp(now) + duration("24h")',
    'timestamp(subject.expiresAt) - timestamp(now) < duration("25h")',
  ],
  ['timestamp(now) > timestamp("2026-01-02T00:00:00Z")', 'timestamp(now) >= timestamp("2026-01-01T00:00:00Z")'],
  ['subject.environment == "production"', 'subject.environment.startsWith("prod")'],
  ['!(request.trigger in ["person", "pipeline", "schedule", "incident"])', 'request.trigger == "owner-change"'],
  ['owner.active ? requester.active : false', 'owner.active && requester.active'],
  ['owner.active == false', '!owner.active'],
])('%s implies %s', (one, another) => {
  expect(implies([formula(one)], formula(another))).toBe(true);
});

test.each([
  ['subject.environment in ["production", "staging"]', 'subject.environment == "production"'],
  ['has(subject.labels.team)', 'subject.labels.team == "payments"'],
  ['subject.labels.team != "payments" || true', 'has(subject.labels.team)'],
  ['risk.score > 50', 'risk.score > 60'],
  ['owner.active', 'requester.active'],
  ['"admin" in subject.scopes', 'size(subject.scopes) == 1'],
  ['subject.environment.startsWith("prod")', 'subject.environment == "production"'],
])('%s does not imply %s', (one, another) => {
  expect(implies([formula(one)], formula(another))).toBe(false);
});

test('a fact that can change says nothing of another moment; one that lasts does', () => {
  const at = (guard: string, moment: string): Formula => guardFormula(guard, moment);
  expect(implies([at('owner.active', 'first')], at('owner.active', 'later'))).toBe(false);
  const production = 'subject.environment == "production"';
  expect(implies([at(production, 'first')], at(production, 'later'))).toBe(true);
});

test('a question that takes too long is refused, never answered by guess', () => {
  // Pigeons and holes: any proof is long.
  const holes = 8;
  const pigeon = (index: number, hole: number): Formula => ({
    op: 'atom',
    atom: { kind: 'flag', fact: { path: `${index} in ${hole}`, moment: '' } },
  });
  const pigeons = Array.from({ length: holes + 1 }, (_, index) => index);
  const places = Array.from({ length: holes }, (_, hole) => hole);
  const housed = pigeons.map((index): Formula => ({ op: 'any', of: places.map((hole) => pigeon(index, hole)) }));
  const alone = places.flatMap((hole) =>
    pigeons.flatMap((one) =>
      pigeons.slice(one + 1).map((other) => not({ op: 'all', of: [pigeon(one, hole), pigeon(other, hole)] })),
    ),
  );
  expect(() => canBe([...housed, ...alone])).toThrow(TooComplex);
});
