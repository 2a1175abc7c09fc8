import { factKey, freeKey } from './atoms.ts';
import { any, atomsOf, type Formula } from './formula.ts';
import { afterwards, opening } from './moments.ts';
import type { FlowPath } from './path.ts';
import { canBe, implies } from './theory.ts';
import { conditionWords, conjunctsOf } from './words.ts';

/** The conditions of a path as somebody would say them: what follows from the rest is left out. */

/** One sentence part for each condition; none when the path is open to every request of its kind. */
export function pathConditions(path: Pick<FlowPath, 'conditions'>): readonly string[] {
  const told = leastOf(path.conditions);
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
