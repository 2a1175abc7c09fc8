import type { Draft } from './draft.ts';
import type { Facts } from './facts.ts';
import { evaluateGuard } from './guards.ts';
import type { Flow, RiskWeight } from './language.ts';

/** What the risk of a request is made of: declared weights, each with its reason, and nothing else (DESIGN section 6). */

/** A weight that counted. */
export type RiskContribution = { readonly add: number; readonly because: string };

export interface Risk {
  /** The sum of the contributions. */
  readonly score: number;
  /** In the order of the flow. */
  readonly contributions: readonly RiskContribution[];
}

/** A weight that cannot be evaluated, and why: the request is denied (promise 6). */
export interface Unassessable {
  readonly weight: RiskWeight;
  readonly error: string;
}

export function weightsOf(flow: Pick<Flow, 'risk'> | undefined): readonly RiskWeight[] {
  return flow?.risk?.weights ?? [];
}

/** The risk by the flow's weights, for these facts; 0 without weights. Pure; reads no risk that is among the facts. */
export function riskOf(flow: Pick<Flow, 'risk'>, facts: Facts): Risk | Unassessable {
  const contributions: RiskContribution[] = [];
  for (const weight of weightsOf(flow)) {
    const answer = evaluateGuard(weight.when, facts);
    if ('error' in answer) return { weight, error: answer.error };
    if (answer.value) contributions.push({ add: weight.add, because: weight.because });
  }
  return { score: contributions.reduce((sum, { add }) => sum + add, 0), contributions };
}

/**
 * Gives the guards of this step their `risk.score`. It is assessed anew at each step until the effect has taken effect, and
 * stays what it was from then on. When it is first assessed, and whenever it changes, evidence says what it is made of.
 */
export function assessRisk(draft: Draft): void {
  if (draft.flow.risk !== undefined && !draft.isOver) {
    const risk = riskOf(draft.flow, draft.facts.guardFacts);
    if ('error' in risk) draft.unassessable = risk;
    else if (!isSame(risk, draft.state.risk)) {
      draft.state = { ...draft.state, risk };
      draft.note('request.risk-assessed', { score: risk.score, contributions: risk.contributions });
    }
  }
  draft.setScore(draft.state.risk?.score ?? 0);
}

function isSame({ contributions }: Risk, before: Risk | undefined): boolean {
  return (
    before?.contributions.length === contributions.length &&
    before.contributions.every(
      ({ add, because }, index) => contributions[index]?.add === add && contributions[index].because === because,
    )
  );
}
