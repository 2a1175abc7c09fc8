import type { Atom, Fact } from '../../../../domain/flow/analysis/atoms.ts';
import type { Formula } from '../../../../domain/flow/analysis/formula.ts';
import { holds, timeToLive } from '../../../../domain/flow/analysis/linear.ts';
import { type Facts, identityFactsOf } from '../../../../domain/flow/facts.ts';
import { evaluateGuard } from '../../../../domain/flow/guards.ts';

export type Outcome = 'true' | 'false' | 'fails';

/** What a formula is for these facts, worked out atom by atom, without the theory that is under test. */
export function outcomeOn(formula: Formula, facts: Facts): Outcome {
  switch (formula.op) {
    case 'constant':
      return formula.value ? 'true' : 'false';
    case 'atom':
      return atomOn(formula.atom, facts);
    case 'not':
      return opposite(outcomeOn(formula.of, facts));
    case 'fails':
      return outcomeOn(formula.of, facts) === 'fails' ? 'true' : 'false';
    case 'all': {
      const parts = formula.of.map((part) => outcomeOn(part, facts));
      if (parts.includes('false')) return 'false';
      return parts.includes('fails') ? 'fails' : 'true';
    }
    case 'any':
      return opposite(outcomeOn({ op: 'all', of: formula.of.map((of) => ({ op: 'not', of })) }, facts));
    case 'if': {
      const condition = outcomeOn(formula.condition, facts);
      if (condition === 'fails') return 'fails';
      return outcomeOn(condition === 'true' ? formula.whenTrue : formula.whenFalse, facts);
    }
  }
}

function atomOn(atom: Atom, facts: Facts): Outcome {
  switch (atom.kind) {
    case 'text': {
      const value = factOf(atom.fact, facts);
      if (value === undefined) return 'fails';
      return atom.values.includes(String(value)) ? 'true' : 'false';
    }
    case 'present':
      return factOf(atom.fact, facts) === undefined ? 'false' : 'true';
    case 'flag':
      return factOf(atom.fact, facts) === true ? 'true' : 'false';
    case 'number':
      if (atom.sum !== undefined) {
        const parts = atom.sum.map(({ add, when }) => ({ add, is: outcomeOn(when, facts) }));
        if (parts.some(({ is }) => is === 'fails')) return 'fails';
        const sum = parts.reduce((known, { add, is }) => (is === 'true' ? known + add : known), 0n);
        return holds(sum, atom.comparison, atom.bound) ? 'true' : 'false';
      }
      return holds(numberOf(atom.of, facts), atom.comparison, atom.bound) ? 'true' : 'false';
    case 'free': {
      const answer = evaluateGuard(atom.text, facts);
      return 'error' in answer ? 'fails' : (String(answer.value) as Outcome);
    }
  }
}

function numberOf({ path }: Fact, facts: Facts): bigint {
  if (path === timeToLive) return BigInt(Date.parse(identityFactsOf(facts).subject.expiresAt) - Date.parse(facts.now));
  const sized = /^size\((.*)\)$/.exec(path)?.[1];
  if (sized === undefined) {
    const value = factOf({ path }, facts);
    return BigInt(typeof value === 'string' ? Date.parse(value) : Number(value));
  }
  const counted = factOf({ path: sized }, facts);
  return BigInt(
    typeof counted === 'string' || Array.isArray(counted) ? counted.length : Object.keys(Object(counted)).length,
  );
}

/** No review in these tests names a new owner. */
function factOf({ path }: Pick<Fact, 'path'>, facts: Facts): unknown {
  if (path === 'the review names a new owner') return false;
  const [root = '', field = '', ...key] = path.split('.');
  const value: unknown = field === '' ? Reflect.get(facts, root) : Reflect.get(Reflect.get(facts, root), field);
  if (key.length === 0) return value;
  return Object.hasOwn(Object(value), key.join('.')) ? Reflect.get(Object(value), key.join('.')) : undefined;
}

function opposite(outcome: Outcome): Outcome {
  if (outcome === 'fails') return 'fails';
  return outcome === 'true' ? 'false' : 'true';
}
