import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Formula, fails, not } from '../../../../domain/flow/analysis/formula.ts';
import { guardFormula } from '../../../../domain/flow/analysis/guardFormula.ts';
import { canBe, implies, TooComplex } from '../../../../domain/flow/analysis/theory.ts';
import { evaluateGuard } from '../../../../domain/flow/guards.ts';
import { anyFacts, anyGuard } from './arbitraryGuards.ts';
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
