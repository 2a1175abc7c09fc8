import { type Atom, factKey, freeKey } from './atoms.ts';
import { all, any, atomsOf, type Formula, not } from './formula.ts';
import { afterwards, opening } from './moments.ts';
import type { FlowPath } from './path.ts';
import { canBe, implies } from './theory.ts';
import { conditionWords, conjunctsOf } from './words.ts';

/** The conditions of a path as somebody would say them: what follows from the rest is left out. */

/** One sentence part for each condition; none when the path is open to every request of its kind. */
export function pathConditions(path: Pick<FlowPath, 'conditions'>): readonly string[] {
  const told = merged(leastOf(path.conditions));
  const moments = told.map(momentIn);
  // What holds when the path is decided needs no moment; what held before it, or after, is said so.
  const main = moments.findLast((moment) => moment !== '' && moment !== afterwards) ?? '';
  const words = told.flatMap((formula, index) => {
    const moment = moments[index] ?? '';
    const when = moment === '' || moment === main ? '' : momentWords(moment);
    return conditionWords(formula).map((condition) => `${when}${condition}`);
  });
  return [...new Set(words)];
}

/** The least of these conditions that say the same, each as short as the others allow. */
function leastOf(conditions: readonly Formula[]): readonly Formula[] {
  const parts = conditions.flatMap(conjunctsOf).filter((formula) => !isOfKind(formula));
  // That something can be evaluated is the least interesting condition: it goes first where something else says it.
  const order = [...parts].sort((one, two) => interest(one) - interest(two));
  let left: readonly Formula[] = parts;
  for (const part of order) {
    const rest = left.filter((one) => one !== part);
    if (implies([...kindOf(conditions), ...rest], part)) left = rest;
  }
  return left.map((part) => {
    if (part.op !== 'any') return part;
    const rest = left.filter((one) => one !== part);
    const possible = part.of.filter((one) => canBe([...kindOf(conditions), ...rest, one]));
    return any(...possible);
  });
}

/** Conditions that all hold, with those on one text told as one: neither `a` nor `b` is none of `a, b`. */
function merged(conditions: readonly Formula[]): readonly Formula[] {
  return withTextsMerged(
    conditions.map(mergedInside),
    (formula) => (formula.op === 'not' ? formula.of : undefined),
    not,
  );
}

function mergedInside(formula: Formula): Formula {
  if (formula.op === 'all') return all(...merged(formula.of));
  if (formula.op !== 'any') return formula;
  const parts = withTextsMerged(
    formula.of.map(mergedInside),
    (part) => part,
    (part) => part,
  );
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : any(...parts);
}

/** @param inner what of a part may be a question about a text, when the part is of the kind that is merged */
function withTextsMerged(
  parts: readonly Formula[],
  inner: (part: Formula) => Formula | undefined,
  outer: (merge: Formula) => Formula,
): readonly Formula[] {
  const kept: Formula[] = [];
  for (const part of parts) {
    const asked = textAsked(inner(part));
    const at = kept.findIndex((earlier) => {
      const known = textAsked(inner(earlier));
      return asked !== undefined && known !== undefined && factKey(known.fact) === factKey(asked.fact);
    });
    const known = textAsked(inner(kept[at] ?? part));
    if (at === -1 || asked === undefined || known === undefined) kept.push(part);
    else {
      const values = [...new Set([...known.values, ...asked.values])].sort();
      kept[at] = outer({ op: 'atom', atom: { ...asked, values } });
    }
  }
  return kept;
}

function textAsked(formula: Formula | undefined): Extract<Atom, { kind: 'text' }> | undefined {
  return formula?.op === 'atom' && formula.atom.kind === 'text' ? formula.atom : undefined;
}

function interest(formula: Formula): number {
  if (formula.op === 'not' && formula.of.op === 'fails') return 0;
  if (formula.op === 'any') return 1;
  return formula.op === 'not' ? 2 : 3;
}

const kindOf = (conditions: readonly Formula[]): readonly Formula[] => conditions.filter(isOfKind);

/** The kind of the request is said by whoever tells its paths. */
function isOfKind(formula: Formula): boolean {
  return formula.op === 'atom' && formula.atom.kind === 'text' && formula.atom.fact.path === 'request.kind';
}

function momentIn(formula: Formula): string {
  const keys = atomsOf(formula).map((atom) => {
    if (atom.kind === 'free') return freeKey(atom);
    return factKey(atom.kind === 'number' ? atom.of : atom.fact);
  });
  const key = keys.find((one) => one.includes('@'));
  return key === undefined ? '' : key.slice(key.lastIndexOf('@') + 1);
}

function momentWords(moment: string): string {
  if (moment === opening) return 'when it was asked for, ';
  return moment === afterwards ? 'afterwards, ' : 'before, ';
}
