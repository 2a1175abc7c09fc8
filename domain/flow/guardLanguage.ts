import type { ASTNode } from '@marcbachmann/cel-js';
import { longestDurationMs } from './duration.ts';
import {
  type FactType,
  factEntriesLimit,
  factEntryLength,
  factTextLength,
  factTypes,
  isInstant,
} from './guardFacts.ts';
import { binary, GuardRefused, type Shape, scalar, textSteps } from './guardShapes.ts';

/**
 * The part of CEL that a guard may use, and what it can cost at most. Allowed by name, so that what the evaluator learns
 * later stays out: no regular expressions, no nested loops, no arithmetic but on whole numbers and instants, nothing that
 * reads a clock or a time zone of the machine.
 */

/** A guard that could cost more is refused before it ever runs. One unit is about one step of the evaluator (Kubernetes' bound). */
export const guardCostBudget = 1_000_000;

/** The functions of the guard language, as its errors list them. */
export const guardFunctions = [
  'size',
  'has',
  'timestamp',
  'duration',
  'startsWith',
  'endsWith',
  'contains',
  'exists',
  'all',
  'filter',
];

interface Scope {
  /** Paths of the facts read so far. */
  readonly reads: Set<string>;
  /** The variable of the enclosing `exists`, `all` or `filter`. */
  readonly variable?: { readonly name: string; readonly shape: Shape };
}

/**
 * Holds a type-checked guard to the allowed language.
 * @returns the facts it reads and an upper bound of its cost, for facts within the limits of `guardFacts.ts`
 * @throws GuardRefused at the first thing that is not allowed, or when the bound is over `guardCostBudget`
 */
export function readGuard(ast: ASTNode): { readonly reads: ReadonlySet<string>; readonly cost: number } {
  const reads = new Set<string>();
  const { cost } = shapeOf(ast, { reads });
  if (cost > guardCostBudget) {
    throw new GuardRefused(
      `the guard could take ${cost} steps, more than ${guardCostBudget}: compare fewer lists and long texts`,
      ast,
    );
  }
  return { reads, cost };
}

function shapeOf(node: ASTNode, scope: Scope): Shape {
  switch (node.op) {
    case 'value':
      return literal(node, node.args);
    case 'id':
      return name(node, node.args, scope);
    case '.':
      return field(node, node.args[0], node.args[1], scope);
    case '[]':
      return keyed(node, shapeOf(node.args[0], scope), shapeOf(node.args[1], scope));
    case 'list':
      return list(
        node,
        node.args.map((element) => shapeOf(element, scope)),
      );
    case 'call':
      return call(node, node.args[0], node.args[1], scope);
    case 'rcall':
      return method(node, node.args[0], node.args[1], node.args[2], scope);
    case '&&':
    case '||':
    case '==':
    case '!=':
    case '<':
    case '<=':
    case '>':
    case '>=':
    case 'in':
    case '+':
    case '-':
      return binary(node, node.op, shapeOf(node.args[0], scope), shapeOf(node.args[1], scope));
    case '!_':
    case '-_': {
      const { kind, cost } = shapeOf(node.args, scope);
      return scalar(kind, cost + 1);
    }
    case '?:': {
      const condition = shapeOf(node.args[0], scope);
      const [first, second] = [shapeOf(node.args[1], scope), shapeOf(node.args[2], scope)];
      const { kind, size, element } = first.size >= second.size ? first : second;
      const cost = condition.cost + Math.max(first.cost, second.cost) + 1;
      return { kind, size, cost, ...(element && { element }) };
    }
    default:
      throw new GuardRefused(`'${node.op}' is not part of the guard language`, node);
  }
}

function literal(node: ASTNode, value: unknown): Shape {
  if (typeof value === 'string') return { kind: 'string', size: value.length, cost: 1 };
  if (typeof value === 'boolean') return scalar('bool', 1);
  if (typeof value !== 'bigint')
    throw new GuardRefused('only texts, whole numbers, true and false can be written in a guard', node);
  if (value > BigInt(Number.MAX_SAFE_INTEGER))
    throw new GuardRefused('the number is larger than any fact can be', node);
  return scalar('int', 1);
}

function name(node: ASTNode, word: string, scope: Scope): Shape {
  if (scope.variable?.name === word) return scope.variable.shape;
  const root = factTypes.get(word);
  if (root === undefined) throw new GuardRefused(`'${word}' is not a fact`, node);
  if (typeof root === 'object')
    throw new GuardRefused(`name a field of ${word}: ${Object.keys(root).join(', ')}`, node);
  scope.reads.add(word);
  return factShape(root);
}

function factShape(type: FactType): Shape {
  const element = { kind: 'string', size: factEntryLength } as const;
  switch (type) {
    case 'list<string>':
      return { kind: 'list', size: factEntriesLimit, cost: 1, element };
    case 'map<string, string>':
      return { kind: 'map', size: factEntriesLimit, cost: 1, element };
    case 'string':
      return { kind: 'string', size: factTextLength, cost: 1 };
    case 'instant':
      return { kind: 'string', size: 30, cost: 1, from: 'instant fact' };
    default:
      return scalar(type, 1);
  }
}

function field(node: ASTNode, holder: ASTNode, key: string, scope: Scope): Shape {
  const root = holder.op === 'id' ? factTypes.get(holder.args) : undefined;
  if (holder.op === 'id' && typeof root === 'object') {
    const type = Object.hasOwn(root, key) ? root[key] : undefined;
    if (type === undefined) throw new GuardRefused(`${holder.args} has no field '${key}'`, node);
    scope.reads.add(`${holder.args}.${key}`);
    return factShape(type);
  }
  return keyed(node, shapeOf(holder, scope), { kind: 'string', size: key.length, cost: 0 });
}

function keyed(node: ASTNode, map: Shape, key: Shape): Shape {
  if (map.kind !== 'map') throw new GuardRefused('only subject.labels is read by key', node);
  return { kind: 'string', size: factEntryLength, cost: map.cost + key.cost + 1 + textSteps(key.size), from: 'key' };
}

function list(node: ASTNode, elements: readonly Shape[]): Shape {
  if (elements.some(({ kind }) => kind === 'list' || kind === 'map'))
    throw new GuardRefused('a list of lists is not allowed', node);
  const cost = elements.reduce((sum, element) => sum + element.cost, 1);
  const kind = elements[0]?.kind ?? 'string';
  return {
    kind: 'list',
    size: elements.length,
    cost,
    element: { kind, size: Math.max(0, ...elements.map(({ size }) => size)) },
  };
}

function call(node: ASTNode, called: string, args: readonly ASTNode[], scope: Scope): Shape {
  const [argument] = args;
  if (argument === undefined || args.length > 1) throw unknownFunction(node, called);
  switch (called) {
    case 'size':
      return sizeOf(shapeOf(argument, scope));
    case 'has': {
      // has() of a fact's field would pass the type check even when misspelt, and be false; every fact is always there.
      const asked = argument.op === '.' && argument.args[0].op !== 'id' ? shapeOf(argument, scope) : undefined;
      if (asked?.from !== 'key')
        throw new GuardRefused(
          'has() asks for a label, has(subject.labels.team): every other fact is always there',
          node,
        );
      return scalar('bool', asked.cost + 1);
    }
    case 'timestamp':
      if (
        argument.op === 'value' ? !isInstant(String(argument.args)) : shapeOf(argument, scope).from !== 'instant fact'
      ) {
        // A text without offset would be read in the machine's own time zone.
        throw new GuardRefused(
          'timestamp() takes now, subject.expiresAt, or an RFC 3339 instant such as "2026-12-31T00:00:00Z"',
          argument,
        );
      }
      return scalar('instant', 3);
    case 'duration':
      if (argument.op !== 'value' || !isCelDuration(String(argument.args))) {
        throw new GuardRefused(
          'duration() takes a written one of at most ten years, in h, m, s and ms, such as "2160h" or "1h30m"',
          argument,
        );
      }
      return scalar('duration', 3);
    default:
      throw unknownFunction(node, called);
  }
}

function method(node: ASTNode, called: string, receiver: ASTNode, args: readonly ASTNode[], scope: Scope): Shape {
  const target = shapeOf(receiver, scope);
  const [first, second] = args;
  switch (called) {
    case 'size':
      return sizeOf(target);
    case 'startsWith':
    case 'endsWith':
    case 'contains': {
      if (first === undefined) throw unknownFunction(node, called);
      const sought = shapeOf(first, scope);
      const steps = called === 'contains' ? textSteps(target.size) * textSteps(sought.size) : textSteps(sought.size);
      return scalar('bool', target.cost + sought.cost + 1 + steps);
    }
    case 'exists':
    case 'all':
    case 'filter': {
      if (first?.op !== 'id' || second === undefined || args.length > 2) throw unknownFunction(node, called);
      if (target.kind !== 'list' || target.element === undefined)
        throw new GuardRefused(`${called}() walks a list`, node);
      if (scope.variable !== undefined) throw new GuardRefused(`${called}() inside another loop is not allowed`, node);
      if (factTypes.has(first.args))
        throw new GuardRefused(`name the variable otherwise: ${first.args} is a fact`, first);
      const variable = { name: first.args, shape: { ...target.element, cost: 1 } };
      const cost = target.cost + 1 + target.size * (2 + shapeOf(second, { reads: scope.reads, variable }).cost);
      return called === 'filter' ? { ...target, cost } : scalar('bool', cost);
    }
    default:
      throw unknownFunction(node, called);
  }
}

function sizeOf(target: Shape): Shape {
  return scalar('int', target.cost + 1 + (target.kind === 'string' ? textSteps(target.size) : 0));
}

function unknownFunction(node: ASTNode, called: string): GuardRefused {
  return new GuardRefused(
    `'${called}' is not one of the functions of the guard language: ${guardFunctions.join(', ')}`,
    node,
  );
}

const unitMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/** Go's notation, which CEL took over; to the whole millisecond and not negative. */
function isCelDuration(text: string): boolean {
  if (!/^(?:\d{1,9}(?:\.\d{1,3})?(?:h|ms|m|s))+$/.test(text)) return false;
  const parts = [...text.matchAll(/([\d.]+)(h|ms|m|s)/g)];
  const totalMs = parts.reduce((sum, [, amount, unit = '']) => sum + Number(amount) * (unitMs[unit] ?? Number.NaN), 0);
  return Number.isInteger(totalMs) && totalMs <= longestDurationMs;
}
