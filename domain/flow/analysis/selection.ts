import type { Flow, RequestKind } from '../language.ts';
import { mustNameAgents, specificity } from '../select.ts';
import { fact } from './atoms.ts';
import { all, always, type Formula, fails, not } from './formula.ts';
import { guardFormula } from './guardFormula.ts';
import { opening } from './moments.ts';
import { canBe } from './theory.ts';

/** Which of several flows governs a request, and when: `select.ts` as conditions. */

export type Selected =
  | { readonly is: 'governed'; readonly flow: Flow; readonly conditions: readonly Formula[] }
  /** Denied: nobody wrote a flow for it. */
  | { readonly is: 'no-flow'; readonly conditions: readonly Formula[] }
  /** Denied: a `where` cannot be evaluated, and might be that of the stricter flow. */
  | { readonly is: 'guard-error'; readonly flow: Flow; readonly conditions: readonly Formula[] }
  /** Denied: these two fit equally well. */
  | { readonly is: 'ambiguous'; readonly flows: readonly [Flow, Flow]; readonly conditions: readonly Formula[] };

/** Everything that can come of opening a request of this kind. @throws TooComplex when the guards are too entangled */
export function selections(flows: readonly Flow[], on: RequestKind): readonly Selected[] {
  const candidates = flows.filter((flow) => flow.on === on).map((flow) => ({ flow, fits: fitting(flow) }));
  const kind = ofKind(on);
  const noneFails = candidates.map(({ fits }) => not(fails(fits)));
  const beatenBy = (flow: Flow, level: number): readonly Formula[] =>
    candidates.filter((other) => other.flow !== flow && specificity(other.flow) >= level).map(({ fits }) => not(fits));
  const governed = candidates.map(({ flow, fits }) => ({
    is: 'governed' as const,
    flow,
    conditions: [kind, fits, ...beatenBy(flow, specificity(flow)), ...noneFails],
  }));
  const ambiguous = candidates.flatMap((one, index) =>
    candidates.slice(index + 1).flatMap((another) => {
      const level = specificity(one.flow);
      if (specificity(another.flow) !== level) return [];
      const conditions = [kind, one.fits, another.fits, ...beatenBy(one.flow, level + 1), ...noneFails];
      return [{ is: 'ambiguous' as const, flows: [one.flow, another.flow] as const, conditions }];
    }),
  );
  const undecided = candidates.map(({ flow, fits }) => ({
    is: 'guard-error' as const,
    flow,
    conditions: [kind, fails(fits)],
  }));
  const uncovered = { is: 'no-flow' as const, conditions: [kind, ...candidates.map(({ fits }) => not(fits))] };
  return [...governed, ...ambiguous, ...undecided, uncovered].filter(({ conditions }) => canBe(conditions));
}

/** A flow's own `kind` and `where`; the kind is asked first, so that a guard about other kinds cannot fail for this one. */
function fitting({ on, subject }: Flow): Formula {
  const { kind, where } = subject;
  const isKind = kind === undefined ? (mustNameAgents(on) ? not(isOfKind('agent')) : always) : isOfKind(kind);
  return where === undefined ? isKind : all(isKind, guardFormula(where, opening));
}

function isOfKind(kind: string): Formula {
  return { op: 'atom', atom: { kind: 'text', fact: fact('subject.kind', opening), values: [kind] } };
}

export function ofKind(on: RequestKind): Formula {
  return { op: 'atom', atom: { kind: 'text', fact: fact('request.kind', opening), values: [on] } };
}
