import { type ASTNode, serialize } from '@marcbachmann/cel-js';
import { factTypes } from '../guardFacts.ts';
import { type Comparison, fact } from './atoms.ts';
import { always, type Formula, never, not } from './formula.ts';

/** Comparisons of whole numbers and of spans of time, as one number against one constant where they are that simple. */

/** How long until the identity expires, milliseconds: what guards on expiry speak of, however they write it. */
export const timeToLive = 'subject.expiresAt - now';

/** A sum of numbers (by name, with their factor) and a constant; time is in milliseconds. */
interface Sum {
  readonly factors: ReadonlyMap<string, bigint>;
  readonly constant: bigint;
}

/** `left < right`, `<=` or `==` as an atom or a constant; undefined when it is neither, or not about numbers. */
export function comparisonAtom(
  left: ASTNode,
  comparison: Comparison,
  right: ASTNode,
  moment: string,
): Formula | undefined {
  const [first, second] = [sumOf(left), sumOf(right)];
  if (first === undefined || second === undefined) return undefined;
  const difference = plus(first, second, -1n);
  const entries = [...difference.factors].filter(([, factor]) => factor !== 0n);
  const bound = -difference.constant;
  if (entries.length === 0) return holds(0n, comparison, bound) ? always : never;
  const named = nameOf(entries);
  if (named === undefined) return undefined;
  const of = fact(named.name, moment);
  if (named.isNegative) {
    // -x < b is x > -b, which is not (x <= -b).
    if (comparison === '==') return { op: 'atom', atom: { kind: 'number', of, comparison, bound: -bound } };
    const opposite = comparison === '<' ? '<=' : '<';
    return not({ op: 'atom', atom: { kind: 'number', of, comparison: opposite, bound: -bound } });
  }
  return { op: 'atom', atom: { kind: 'number', of, comparison, bound } };
}

export function holds(value: bigint, comparison: Comparison, bound: bigint): boolean {
  switch (comparison) {
    case '<':
      return value < bound;
    case '<=':
      return value <= bound;
    case '==':
      return value === bound;
  }
}

function nameOf(entries: readonly (readonly [string, bigint])[]): { name: string; isNegative: boolean } | undefined {
  const [first, second] = entries;
  if (entries.length === 1 && first !== undefined && (first[1] === 1n || first[1] === -1n))
    return { name: first[0], isNegative: first[1] === -1n };
  const factorOf = (name: string): bigint => entries.find(([other]) => other === name)?.[1] ?? 0n;
  const ends = factorOf('subject.expiresAt');
  if (entries.length === 2 && second !== undefined && (ends === 1n || ends === -1n) && factorOf('now') === -ends)
    return { name: timeToLive, isNegative: ends === -1n };
  return undefined;
}

function sumOf(node: ASTNode): Sum | undefined {
  switch (node.op) {
    case 'value':
      return typeof node.args === 'bigint' ? { factors: new Map(), constant: node.args } : undefined;
    case '.':
      return isNumber(serialize(node)) ? one(serialize(node)) : undefined;
    case '-_': {
      const inner = sumOf(node.args);
      return inner && plus({ factors: new Map(), constant: 0n }, inner, -1n);
    }
    case '+':
    case '-': {
      const [left, right] = [sumOf(node.args[0]), sumOf(node.args[1])];
      return left && right && plus(left, right, node.op === '+' ? 1n : -1n);
    }
    case 'rcall':
      return node.args[0] === 'size' ? sizeOf(node.args[1]) : undefined;
    case 'call': {
      const [called, [argument]] = node.args;
      if (argument === undefined) return undefined;
      if (called === 'size') return sizeOf(argument);
      if (called === 'duration') return { factors: new Map(), constant: BigInt(celDurationMs(String(argument.args))) };
      if (called !== 'timestamp') return undefined;
      if (argument.op !== 'value') return one(serialize(argument));
      return { factors: new Map(), constant: BigInt(Date.parse(String(argument.args))) };
    }
    default:
      return undefined;
  }
}

/** A fact that is a whole number. */
function isNumber(path: string): boolean {
  const [root = '', field = ''] = path.split('.', 2);
  const type = factTypes.get(root);
  return typeof type === 'object' && Object.hasOwn(type, field) && type[field] === 'int';
}

const one = (name: string): Sum => ({ factors: new Map([[name, 1n]]), constant: 0n });

/** The size of a fact; of anything else it stays a free question. */
function sizeOf(node: ASTNode): Sum | undefined {
  const isFact = node.op === '.' && node.args[0].op === 'id';
  return isFact ? one(`size(${serialize(node)})`) : undefined;
}

function plus(left: Sum, right: Sum, factor: 1n | -1n): Sum {
  const factors = new Map(left.factors);
  for (const [name, amount] of right.factors) factors.set(name, (factors.get(name) ?? 0n) + factor * amount);
  return { factors, constant: left.constant + factor * right.constant };
}

const unitMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/** Milliseconds of a duration that the guard language has accepted: whole ones. */
function celDurationMs(text: string): number {
  const parts = [...text.matchAll(/([\d.]+)(h|ms|m|s)/g)];
  return Math.round(parts.reduce((sum, [, amount, unit = '']) => sum + Number(amount) * (unitMs[unit] ?? 0), 0));
}
