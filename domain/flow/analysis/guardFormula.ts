import { type ASTNode, serialize } from '@marcbachmann/cel-js';
import { factTypes } from '../guardFacts.ts';
import { compileGuard } from '../guards.ts';
import type { Guard } from '../language.ts';
import { type FreeAtom, fact, labelPrefix, momentOf } from './atoms.ts';
import { all, always, any, type Formula, never, not } from './formula.ts';
import { comparisonAtom } from './linear.ts';

/**
 * The formula of a guard that compiles.
 * @param moment when it is asked; guards of one moment speak of the same facts. Facts that last are the same at every moment
 * @throws TypeError for a guard that does not compile: a parsed flow holds none
 */
export function guardFormula(guard: Guard, moment: string): Formula {
  const compilation = compileGuard(guard);
  if (!compilation.ok) throw new TypeError(`The guard '${guard}' does not compile: ${compilation.error.reason}.`);
  return formulaOf(compilation.guard.evaluate.ast, moment);
}

function formulaOf(node: ASTNode, moment: string): Formula {
  switch (node.op) {
    case 'value':
      return node.args === true ? always : never;
    case '&&':
      return all(...flat(node, '&&').map((part) => formulaOf(part, moment)));
    case '||':
      return any(...flat(node, '||').map((part) => formulaOf(part, moment)));
    case '!_':
      return not(formulaOf(node.args, moment));
    case '?:': {
      const [condition, whenTrue, whenFalse] = node.args;
      return {
        op: 'if',
        condition: formulaOf(condition, moment),
        whenTrue: formulaOf(whenTrue, moment),
        whenFalse: formulaOf(whenFalse, moment),
      };
    }
    case '.': {
      const path = pathOf(node);
      return path === undefined ? free(node, moment) : { op: 'atom', atom: { kind: 'flag', fact: fact(path, moment) } };
    }
    case 'call': {
      const [called, [argument]] = node.args;
      const label = called === 'has' && argument !== undefined ? pathOf(argument) : undefined;
      return label === undefined ? free(node, moment) : present(label, moment);
    }
    case '==':
      return equality(node, node.args[0], node.args[1], moment);
    case '!=':
      return not(equality(node, node.args[0], node.args[1], moment));
    case 'in':
      return membership(node, node.args[0], node.args[1], moment);
    case '<':
    case '<=':
      return comparisonAtom(node.args[0], node.op, node.args[1], moment) ?? free(node, moment);
    // One order for each comparison, so that `5 < risk.score` and `risk.score > 5` are one atom.
    case '>':
      return comparisonAtom(node.args[1], '<', node.args[0], moment) ?? free(node, moment);
    case '>=':
      return comparisonAtom(node.args[1], '<=', node.args[0], moment) ?? free(node, moment);
    default:
      return free(node, moment);
  }
}

function flat(node: ASTNode, op: '&&' | '||'): readonly ASTNode[] {
  return node.op === op ? [...flat(node.args[0], op), ...flat(node.args[1], op)] : [node];
}

function equality(node: ASTNode, left: ASTNode, right: ASTNode, moment: string): Formula {
  if (left.op === 'value' && right.op === 'value') return left.args === right.args ? always : never;
  const [value, other] = left.op === 'value' ? [left, right] : [right, left];
  if (value.op === 'value' && typeof value.args === 'boolean') {
    const of = formulaOf(other, moment);
    return value.args ? of : not(of);
  }
  if (value.op === 'value' && typeof value.args === 'string') {
    const path = textPath(other);
    if (path !== undefined) return text(path, [value.args], moment);
  }
  const number = comparisonAtom(left, '==', right, moment);
  if (number !== undefined) return number;
  // The same two sides in either order are one question.
  const [first = '', second = ''] = [serialize(left), serialize(right)].sort();
  return first === second && labelsOf(node).length === 0 ? always : free(node, moment, `${first} == ${second}`);
}

function membership(node: ASTNode, element: ASTNode, list: ASTNode, moment: string): Formula {
  const path = textPath(element);
  if (list.op === 'list' && path !== undefined) {
    const values = list.args.flatMap((entry) => (entry.op === 'value' ? [String(entry.args)] : []));
    const others = list.args.filter((entry) => entry.op !== 'value');
    const literal = values.length === 0 ? [] : [text(path, values, moment)];
    return any(...literal, ...others.map((entry) => equality(node, element, entry, moment)));
  }
  if (element.op === 'value' && pathOf(list) === labelPrefix) {
    return present(labelPath(String(element.args)), moment);
  }
  return free(node, moment);
}

function text(path: string, values: readonly string[], moment: string): Formula {
  return { op: 'atom', atom: { kind: 'text', fact: fact(path, moment), values: [...new Set(values)].sort() } };
}

function present(label: string, moment: string): Formula {
  return { op: 'atom', atom: { kind: 'present', fact: fact(label, moment) } };
}

function free(node: ASTNode, moment: string, written = serialize(node)): Formula {
  const reads = new Set(readsOf(node));
  const asked = momentOf(
    [...reads].map((path) => (path.startsWith(labelPrefix) ? labelPrefix : path)),
    moment,
  );
  const strict = new Set(strictLabels(node));
  const labels = [...strict].sort().map((path) => fact(path, moment));
  const [only] = reads;
  const isSingle = reads.size === 1 && only !== undefined && !only.startsWith(labelPrefix) && typeOf(only) === 'string';
  const atom: FreeAtom = {
    kind: 'free',
    text: written,
    moment: asked,
    labels,
    canFail: labelsOf(node).some((path) => path === undefined || !strict.has(path)) || movesInstants(node),
    ...(isSingle && { single: fact(only, moment) }),
  };
  return { op: 'atom', atom };
}

/** The fact that a node is, a label included. */
function pathOf(node: ASTNode): string | undefined {
  if (node.op === 'id') return typeof factTypes.get(node.args) === 'string' ? node.args : undefined;
  if (node.op === '[]') {
    const [holder, key] = node.args;
    return pathOf(holder) === labelPrefix && key.op === 'value' ? labelPath(String(key.args)) : undefined;
  }
  if (node.op !== '.') return undefined;
  const [holder, field] = node.args;
  if (holder.op === 'id' && typeOf(`${holder.args}.${field}`) !== undefined) return `${holder.args}.${field}`;
  return pathOf(holder) === labelPrefix ? labelPath(field) : undefined;
}

const labelPath = (key: string): string => `${labelPrefix}.${key}`;

function typeOf(path: string): string | undefined {
  const [root = '', field] = path.split('.', 2);
  const type = factTypes.get(root);
  if (field === undefined) return typeof type === 'string' ? type : undefined;
  return typeof type === 'object' && Object.hasOwn(type, field) ? type[field] : undefined;
}

/** A text that can be compared with literals: a text fact or a label. */
function textPath(node: ASTNode): string | undefined {
  const path = pathOf(node);
  if (path === undefined || path === labelPrefix) return undefined;
  return path.startsWith(`${labelPrefix}.`) || typeOf(path) === 'string' ? path : undefined;
}

function partsOf(node: ASTNode): readonly ASTNode[] {
  switch (node.op) {
    case 'value':
    case 'id':
      return [];
    case '.':
      return [node.args[0]];
    case 'list':
      return node.args;
    case 'call':
      return node.args[1];
    case 'rcall':
      return [node.args[1], ...node.args[2]];
    case '!_':
    case '-_':
      return [node.args];
    case '?:':
    case '[]':
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
      return [...node.args];
    default:
      throw new TypeError(`'${node.op}' is not part of the guard language.`);
  }
}

function readsOf(node: ASTNode): readonly string[] {
  const path = pathOf(node);
  return path === undefined ? partsOf(node).flatMap(readsOf) : [path];
}

/** Every label that is read by key; undefined for one whose key is not written out. */
function labelsOf(node: ASTNode): readonly (string | undefined)[] {
  const path = pathOf(node);
  if (path?.startsWith(`${labelPrefix}.`)) return [path];
  const unknown = node.op === '[]' ? [undefined] : [];
  return [...unknown, ...partsOf(node).flatMap(labelsOf)];
}

/** The labels without which the whole cannot be evaluated, whatever else is the case. */
function strictLabels(node: ASTNode): readonly string[] {
  const path = pathOf(node);
  if (path?.startsWith(`${labelPrefix}.`)) return [path];
  if (node.op === '&&' || node.op === '||') return [];
  if (node.op === '?:') return strictLabels(node.args[0]);
  if (node.op === 'call' && node.args[0] === 'has') return [];
  if (node.op === 'rcall' && ['exists', 'all', 'filter'].includes(node.args[0])) return strictLabels(node.args[1]);
  return partsOf(node).flatMap(strictLabels);
}

/** Whether it computes an instant, which may leave the years that the evaluator knows. */
function movesInstants(node: ASTNode): boolean {
  const isSum = node.op === '+' || node.op === '-';
  return (isSum && /timestamp\(/.test(serialize(node))) || partsOf(node).some(movesInstants);
}
