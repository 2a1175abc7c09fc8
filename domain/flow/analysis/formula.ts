import type { Atom } from './atoms.ts';

/** A guard, taken apart into atoms. Like CEL it has three outcomes: true, false, and that it cannot be evaluated. */
export type Formula =
  | { readonly op: 'constant'; readonly value: boolean }
  | { readonly op: 'atom'; readonly atom: Atom }
  | { readonly op: 'not'; readonly of: Formula }
  /** True where the inner one cannot be evaluated; itself never fails. */
  | { readonly op: 'fails'; readonly of: Formula }
  | { readonly op: 'all' | 'any'; readonly of: readonly Formula[] }
  | { readonly op: 'if'; readonly condition: Formula; readonly whenTrue: Formula; readonly whenFalse: Formula };

export const always: Formula = { op: 'constant', value: true };
export const never: Formula = { op: 'constant', value: false };

export function not(of: Formula): Formula {
  if (of.op === 'not') return of.of;
  return of.op === 'constant' ? { op: 'constant', value: !of.value } : { op: 'not', of };
}

export const fails = (of: Formula): Formula => ({ op: 'fails', of });
export const all = (...of: readonly Formula[]): Formula => ({ op: 'all', of });
export const any = (...of: readonly Formula[]): Formula => ({ op: 'any', of });

/** True wherever `of` does not hold, be it false or not to be evaluated. */
export const notTrue = (of: Formula): Formula => any(not(of), fails(of));

/** The same formula with each of its atoms replaced. */
export function mapAtoms(formula: Formula, replace: (atom: Atom) => Formula): Formula {
  const mapped = (of: Formula): Formula => mapAtoms(of, replace);
  switch (formula.op) {
    case 'constant':
      return formula;
    case 'atom':
      return replace(formula.atom);
    case 'not':
      return not(mapped(formula.of));
    case 'fails':
      return fails(mapped(formula.of));
    case 'all':
    case 'any':
      return { op: formula.op, of: formula.of.map(mapped) };
    case 'if': {
      const { condition, whenTrue, whenFalse } = formula;
      return { op: 'if', condition: mapped(condition), whenTrue: mapped(whenTrue), whenFalse: mapped(whenFalse) };
    }
  }
}

/** Every atom in it, each time it occurs. */
export function atomsOf(formula: Formula): readonly Atom[] {
  switch (formula.op) {
    case 'constant':
      return [];
    case 'atom':
      return [formula.atom];
    case 'not':
    case 'fails':
      return atomsOf(formula.of);
    case 'all':
    case 'any':
      return formula.of.flatMap(atomsOf);
    case 'if':
      return [formula.condition, formula.whenTrue, formula.whenFalse].flatMap(atomsOf);
  }
}
