import { requesterKinds, triggers } from '../facts.ts';
import { evaluateGuard } from '../guards.ts';
import { identityKinds, requestKinds } from '../language.ts';
import { type Atom, type Fact, type FreeAtom, factKey, freeKey, labelPrefix, type Summand } from './atoms.ts';
import { all, atomsOf, type Formula, notTrue } from './formula.ts';
import { holds } from './linear.ts';

/**
 * Decides whether conditions can hold together. Each fact stands for finitely many values: of a text every literal that
 * is compared with it, and any other; of a number the values around its bounds. So the answer is exact for questions that
 * compare one fact with constants; everything else may hold or not (it never calls possible facts impossible).
 */

/** No label of that name; a text that is none of the literals; an atom that cannot be evaluated. */
export const absent: unique symbol = Symbol('absent');
export const other: unique symbol = Symbol('any other');
export const failed: unique symbol = Symbol('failed');

export type Value = string | boolean | bigint | typeof absent | typeof other | typeof failed;

/** What facts and free atoms are, by key; a key left out may have any value. */
export type Assignment = ReadonlyMap<string, Value>;

/** More conditions than can be decided. */
export class TooComplex extends Error {
  override readonly name = 'TooComplex';
}

/** Conditions looked at in one search. What is this entangled no person can review either. */
export const searchLimit = 300_000;

/** Facts for which all of these are true; undefined when there are none. @throws TooComplex beyond `searchLimit` */
export function satisfying(formulas: readonly Formula[]): Assignment | undefined {
  const parts = formulas.flatMap(conjuncts);
  return new Search(parts).run();
}

/** Whether `formula` is true wherever the conditions are. @throws TooComplex beyond `searchLimit` */
export function implies(conditions: readonly Formula[], formula: Formula): boolean {
  return satisfying([...conditions, notTrue(formula)]) === undefined;
}

function conjuncts(formula: Formula): readonly Formula[] {
  return formula.op === 'all' ? formula.of.flatMap(conjuncts) : [formula];
}

type Bounded = Extract<Atom, { kind: 'number' }>;

const canHold = 1;
const canNot = 2;
const canFail = 4;

/** What was found, or the variables whose values together rule everything out. */
type Result = { readonly found: Assignment } | { readonly conflict: ReadonlySet<string> };

/** Backtracking with conflict-directed jumps: a variable that has no part in a conflict is not tried with other values. */
class Search {
  readonly #questions: readonly { readonly formula: Formula; readonly keys: readonly string[] }[];
  readonly #domains: ReadonlyMap<string, readonly Value[]>;
  readonly #assigned = new Map<string, Value>();
  #steps = 0;

  constructor(formulas: readonly Formula[]) {
    this.#questions = formulas.map((formula) => ({ formula, keys: [...new Set(atomsOf(formula).flatMap(keysOf))] }));
    this.#domains = domainsOf(formulas.flatMap(atomsOf).flatMap(withSummands));
  }

  run(): Assignment | undefined {
    const result = this.#extend();
    return 'found' in result ? result.found : undefined;
  }

  #extend(): Result {
    this.#steps += this.#questions.length;
    if (this.#steps > searchLimit) throw new TooComplex('Its guards depend on too many facts at once.');
    let narrowest: readonly string[] | undefined;
    for (const { formula, keys } of this.#questions) {
      const outcomes = this.#outcomesOf(formula);
      if ((outcomes & canHold) === 0) return { conflict: new Set(keys.filter((key) => this.#assigned.has(key))) };
      if (outcomes === canHold) continue;
      const open = keys.filter((key) => !this.#assigned.has(key));
      if (narrowest === undefined || open.length < narrowest.length) narrowest = open;
    }
    if (narrowest === undefined) return { found: new Map(this.#assigned) };
    const [key] = narrowest;
    if (key === undefined) throw new TypeError('A condition without open facts is undecided: a defect of the theory.');
    const conflict = new Set<string>();
    for (const value of this.#domains.get(key) ?? []) {
      this.#assigned.set(key, value);
      const result = this.#extend();
      this.#assigned.delete(key);
      if ('found' in result || !result.conflict.has(key)) return result;
      for (const other of result.conflict) if (other !== key) conflict.add(other);
    }
    return { conflict };
  }

  #outcomesOf(formula: Formula): number {
    switch (formula.op) {
      case 'constant':
        return formula.value ? canHold : canNot;
      case 'atom':
        return this.#atomOutcomes(formula.atom);
      case 'not':
        return negated(this.#outcomesOf(formula.of));
      case 'fails': {
        const inner = this.#outcomesOf(formula.of);
        return (inner & canFail ? canHold : 0) | (inner & (canHold | canNot) ? canNot : 0);
      }
      case 'all':
        return conjunction(formula.of.map((part) => this.#outcomesOf(part)));
      case 'any':
        return negated(conjunction(formula.of.map((part) => negated(this.#outcomesOf(part)))));
      case 'if': {
        const condition = this.#outcomesOf(formula.condition);
        return (
          (condition & canHold ? this.#outcomesOf(formula.whenTrue) : 0) |
          (condition & canNot ? this.#outcomesOf(formula.whenFalse) : 0) |
          (condition & canFail)
        );
      }
    }
  }

  #atomOutcomes(atom: Atom): number {
    switch (atom.kind) {
      case 'text':
        return this.#over(factKey(atom.fact), (value) => {
          if (value === absent) return canFail;
          return value !== other && atom.values.includes(String(value)) ? canHold : canNot;
        });
      case 'present':
        return this.#over(factKey(atom.fact), (value) => (value === absent ? canNot : canHold));
      case 'flag':
        return this.#over(factKey(atom.fact), (value) => (value === true ? canHold : canNot));
      case 'number':
        if (atom.sum !== undefined) return this.#sumOutcomes(atom.sum, atom);
        return this.#over(factKey(atom.of), (value) =>
          typeof value === 'bigint' && holds(value, atom.comparison, atom.bound) ? canHold : canNot,
        );
      case 'free':
        return this.#freeOutcomes(atom);
    }
  }

  /** By the least and the most that the sum can come to; exact once every summand is known. */
  #sumOutcomes(sum: readonly Summand[], { comparison, bound }: Pick<Bounded, 'comparison' | 'bound'>): number {
    let [least, most, failing] = [0n, 0n, 0];
    for (const { add, when } of sum) {
      const outcomes = this.#outcomesOf(when);
      if (outcomes === canFail) return canFail;
      failing |= outcomes & canFail;
      const isOpen = (outcomes & canHold) !== 0 && (outcomes & canNot) !== 0;
      const surely = outcomes & canHold ? add : 0n;
      least += isOpen && add > 0n ? 0n : surely;
      most += isOpen && add < 0n ? 0n : surely;
    }
    const ends = [least, most].map((end) => holds(end, comparison, bound));
    const isBetween = comparison === '==' && least < bound && bound < most;
    const can = ends.includes(true) || isBetween ? canHold : 0;
    const cannot = ends.includes(false) ? canNot : 0;
    return can | cannot | failing;
  }

  #freeOutcomes(atom: FreeAtom): number {
    const { labels, single } = atom;
    const isAbsent = labels.some((label) => this.#assigned.get(factKey(label)) === absent);
    if (isAbsent) return canFail;
    const isSettled = labels.every((label) => this.#assigned.has(factKey(label)));
    const rest = isSettled ? 0 : canFail;
    if (single !== undefined) {
      const value = this.#assigned.get(factKey(single));
      if (value === undefined) return canHold | canNot | canFail;
      if (typeof value === 'string') return rest | evaluated(atom.text, single, value);
    }
    return (
      rest |
      this.#over(freeKey(atom), (value) => {
        if (value === failed) return canFail;
        return value === true ? canHold : canNot;
      })
    );
  }

  /** What comes out for the value of this variable, or for any of its values while it has none. */
  #over(key: string, outcome: (value: Value) => number): number {
    const assigned = this.#assigned.get(key);
    const values: readonly Value[] = assigned === undefined ? (this.#domains.get(key) ?? []) : [assigned];
    return values.reduce<number>((outcomes, value) => outcomes | outcome(value), 0);
  }
}

function negated(outcomes: number): number {
  return (outcomes & canHold ? canNot : 0) | (outcomes & canNot ? canHold : 0) | (outcomes & canFail);
}

/** CEL's `&&`: false where one is false, whatever fails beside it. */
function conjunction(parts: readonly number[]): number {
  const can = parts.every((outcomes) => outcomes & canHold) ? canHold : 0;
  const cannot = parts.some((outcomes) => outcomes & canNot) ? canNot : 0;
  const mayFail = parts.some((outcomes) => outcomes & canFail) && parts.every((outcomes) => outcomes & ~canNot);
  return can | cannot | (mayFail ? canFail : 0);
}

/** The evaluator itself answers for a known value of the only fact that is read. */
function evaluated(text: string, { path }: Fact, value: string): number {
  const [root = '', field = ''] = path.split('.', 2);
  // Reads that one fact and no other; `readFacts` looks up own properties by path.
  const answer = evaluateGuard(text, { [root]: field === '' ? value : { [field]: value } } as never);
  if ('error' in answer) return canFail;
  return answer.value ? canHold : canNot;
}

/** Texts that have no other values than these. */
const closed: ReadonlyMap<string, readonly string[]> = new Map<string, readonly string[]>([
  ['subject.kind', identityKinds],
  ['request.kind', requestKinds],
  ['request.trigger', triggers],
  ['requester.kind', requesterKinds],
]);

function keysOf(atom: Atom): readonly string[] {
  switch (atom.kind) {
    case 'text':
    case 'present':
    case 'flag':
      return [factKey(atom.fact)];
    case 'number':
      return atom.sum === undefined
        ? [factKey(atom.of)]
        : atom.sum.flatMap(({ when }) => atomsOf(when).flatMap(keysOf));
    case 'free':
      return [...atom.labels, ...(atom.single ? [atom.single] : [])].map(factKey).concat(freeKey(atom));
  }
}

/** With the atoms that a sum is made of. */
function withSummands(atom: Atom): readonly Atom[] {
  const sum = atom.kind === 'number' ? (atom.sum ?? []) : [];
  return [atom, ...sum.flatMap(({ when }) => atomsOf(when))];
}

function domainsOf(atoms: readonly Atom[]): ReadonlyMap<string, readonly Value[]> {
  const domains = new Map<string, Set<Value>>();
  const add = (key: string, values: readonly Value[]): void => {
    const known = domains.get(key) ?? new Set();
    for (const value of values) known.add(value);
    domains.set(key, known);
  };
  const bounds = new Map<string, { readonly of: Fact; readonly bounds: Set<bigint> }>();
  for (const atom of atoms) {
    switch (atom.kind) {
      case 'text':
        addText(atom.fact, add, atom.values);
        break;
      case 'present':
        addText(atom.fact, add, []);
        break;
      case 'flag':
        add(factKey(atom.fact), [true, false]);
        break;
      case 'number':
        if (atom.sum === undefined) addBound(bounds, atom.of, atom.bound);
        break;
      case 'free':
        for (const label of atom.labels) addText(label, add, []);
        if (atom.single) addText(atom.single, add, []);
        add(freeKey(atom), atom.canFail ? [true, false, failed] : [true, false]);
        break;
    }
  }
  for (const [key, number] of bounds) add(key, around(number.of.path, [...number.bounds]));
  return new Map([...domains].map(([key, values]) => [key, [...values]]));
}

function addText(text: Fact, add: (key: string, values: readonly Value[]) => void, literals: readonly string[]): void {
  const values = closed.get(text.path);
  if (values !== undefined) return add(factKey(text), values);
  const isLabel = text.path.startsWith(`${labelPrefix}.`);
  const beyond: readonly Value[] = isLabel ? [other, absent] : [other];
  add(factKey(text), [...literals, ...beyond]);
}

function addBound(known: Map<string, { of: Fact; bounds: Set<bigint> }>, of: Fact, bound: bigint): void {
  const number = known.get(factKey(of)) ?? { of, bounds: new Set() };
  number.bounds.add(bound);
  known.set(factKey(of), number);
}

/** Each bound, and a value of each interval between them and beyond. */
function around(path: string, bounds: readonly bigint[]): readonly Value[] {
  const [least = 0n] = [...bounds].sort((one, another) => Number(one - another));
  const values = [least - 1n, ...bounds.flatMap((bound) => [bound, bound + 1n])];
  return path.startsWith('size(') || path.startsWith('publication.') ? values.filter((value) => value >= 0n) : values;
}

/** Whether some facts meet all conditions. */
export const canBe = (conditions: readonly Formula[]): boolean => satisfying([all(...conditions)]) !== undefined;
