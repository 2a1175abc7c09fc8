import type { Flow } from '../language.ts';
import { weightsOf } from '../risk.ts';
import type { YamlPath } from '../yamlPositions.ts';
import { type Formula, fails, notTrue } from './formula.ts';
import { guardFormula } from './guardFormula.ts';
import type { Found } from './lint.ts';
import { opening } from './moments.ts';
import { canBe } from './theory.ts';

/** Guards that cannot be meant: what they have in common, and the weights of a risk. */

export function canFail(path: YamlPath, what: string): Found {
  return {
    rule: 'guard-can-fail',
    severity: 'warning',
    path,
    message: `${what} cannot be told for some facts, and then the request is denied with guard-error.`,
    suggestion: 'Ask first whether the label is there: has(subject.labels.team) && …',
  };
}

/**
 * Weights that never count, always count, or cannot be told.
 * @param governed when the flow governs; conditions of the moment `opening`
 */
export function weightFindings(flow: Flow, governed: readonly Formula[]): readonly Found[] {
  return weightsOf(flow).flatMap(({ when, because }, index): readonly Found[] => {
    const path = ['risk', 'weights', index, 'when'];
    const holds = guardFormula(when, opening);
    const what = `The weight '${because}'`;
    const failing = canBe([...governed, fails(holds)]) ? [canFail(path, `Whether the weight '${because}' counts`)] : [];
    if (!canBe([...governed, holds])) {
      const message = `${what} never counts: its condition is true for no request that the flow governs.`;
      return [...failing, { rule: 'guard-always-false', severity: 'error', path, message }];
    }
    if (canBe([...governed, notTrue(holds)])) return failing;
    const message = `${what} counts for every request that the flow governs: it tells none apart.`;
    return [...failing, { rule: 'guard-always-true', severity: 'warning', path, message }];
  });
}
