import { createHash } from 'node:crypto';
import type { Flow, Guard } from '../language.ts';
import { weightsOf } from '../risk.ts';
import type { Atom } from './atoms.ts';
import { always, type Formula, mapAtoms, never } from './formula.ts';
import { guardFormula } from './guardFormula.ts';
import { holds } from './linear.ts';
import { afterwards, beginning } from './moments.ts';

/**
 * The formula of a guard that is asked of requests under this flow: what it asks of `risk.score` is asked of the flow's
 * weights, so that two flows with other weights are compared over the same facts. Without weights the score is 0.
 * @param flow undefined for requests that no flow governs: their risk is never assessed, and counts as 0
 * @param moment as `guardFormula` has it
 */
export function flowGuardFormula(flow: Pick<Flow, 'on' | 'risk'> | undefined, guard: Guard, moment: string): Formula {
  const formula = guardFormula(guard, moment);
  // The score stays what it was when the effect began; a revocation's was assessed at a moment of its own, and is left open.
  const assessed = moment === afterwards && flow?.on !== 'revocation' ? beginning : moment;
  const sum = weightsOf(flow).map(({ when, add }) => ({ add: BigInt(add), when: guardFormula(when, assessed) }));
  return mapAtoms(formula, (atom) => weighed(atom, sum, flow));
}

function weighed(
  atom: Atom,
  sum: Extract<Atom, { kind: 'number' }>['sum'] & object,
  flow: Parameters<typeof flowGuardFormula>[0],
): Formula {
  if (atom.kind === 'number' && atom.of.path === 'risk.score') {
    if (sum.length === 0) return holds(0n, atom.comparison, atom.bound) ? always : never;
    return { op: 'atom', atom: { ...atom, sum } };
  }
  if (atom.kind === 'free' && atom.text.includes('risk.score')) {
    const weights = createHash('sha256')
      .update(JSON.stringify(weightsOf(flow)))
      .digest('hex');
    return { op: 'atom', atom: { ...atom, weights } };
  }
  return { op: 'atom', atom };
}
