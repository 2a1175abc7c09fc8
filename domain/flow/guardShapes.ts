import type { ASTNode } from '@marcbachmann/cel-js';

/** What an expression of the guard language yields and takes, and the operators' part in it. */

/** The guard is valid CEL, but not of this language, or too costly. `offset` is where in its text. */
export class GuardRefused extends Error {
  override readonly name = 'GuardRefused';
  readonly offset: number;
  constructor(message: string, node: ASTNode) {
    super(message);
    this.offset = node.start;
  }
}

export type Kind = 'bool' | 'int' | 'string' | 'list' | 'map' | 'instant' | 'duration';

/** What an expression yields and takes: `size` is its most characters or entries, `cost` the most steps to get it. */
export interface Shape {
  readonly kind: Kind;
  readonly size: number;
  readonly cost: number;
  /** Of a list or map. */
  readonly element?: { readonly kind: Kind; readonly size: number };
  /** A fact that holds an RFC 3339 instant; a value read by key, which may be absent. */
  readonly from?: 'instant fact' | 'key';
}

/** A value of one piece: a number, a truth, an instant. */
export const scalar = (kind: Kind, cost: number): Shape => ({ kind, size: 1, cost });

/** Steps to walk over so many characters: they are cheap against a step of the evaluator. */
export const textSteps = (characters: number): number => Math.ceil(characters / 100);

/** Steps to compare two values of one kind. */
function comparisonSteps({ kind, size, element }: Pick<Shape, 'kind' | 'size' | 'element'>): number {
  if (kind === 'list' && element !== undefined) return size * (1 + comparisonSteps(element));
  return kind === 'string' ? textSteps(size) : 1;
}

/**
 * What a binary operator yields, and its cost.
 * @throws GuardRefused where CEL has the operator for these types and this language does not
 */
export function binary(node: ASTNode, operator: string, left: Shape, right: Shape): Shape {
  const cost = left.cost + right.cost + 1;
  switch (operator) {
    case '&&':
    case '||':
      return scalar('bool', cost);
    case '==':
    case '!=':
      if (left.kind === 'map') throw new GuardRefused('compare labels one by one, by key', node);
      return scalar('bool', cost + comparisonSteps(left.size <= right.size ? left : right));
    case 'in':
      // A key of a map is one look-up, an entry of a list is a comparison with each.
      if (right.kind === 'map') return scalar('bool', cost + textSteps(left.size));
      return scalar('bool', cost + comparisonSteps(right));
    case '+':
    case '-':
      return arithmetic(node, operator, left, right, cost);
    default:
      // Evaluators order texts by code unit or by code point, and instants as text depend on how each is written.
      if (left.kind === 'string')
        throw new GuardRefused(
          `texts have no order here: compare instants as timestamp(…) ${operator} timestamp(…)`,
          node,
        );
      if (left.kind === 'bool') throw new GuardRefused('true and false have no order here', node);
      return scalar('bool', cost);
  }
}

function arithmetic(node: ASTNode, operator: '+' | '-', left: Shape, right: Shape, cost: number): Shape {
  switch (`${left.kind} ${operator} ${right.kind}`) {
    case 'int + int':
    case 'int - int':
      return scalar('int', cost);
    case 'string + string':
      return { kind: 'string', size: left.size + right.size, cost: cost + textSteps(left.size + right.size) };
    case 'instant - instant':
      return scalar('duration', cost);
    case 'instant + duration':
    case 'instant - duration':
      return scalar('instant', cost);
    default:
      // The evaluator (cel-js 8.0.0) takes duration + instant for a duration, while instant + duration says the same; and it
      // gets sums of durations with a negative fraction wrong, which nothing needs.
      throw new GuardRefused(`${left.kind} ${operator} ${right.kind} is not part of the guard language`, node);
  }
}
