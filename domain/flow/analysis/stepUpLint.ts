import type { StepUpParty, StepUpStage } from '../language.ts';
import { any, type Formula, not } from './formula.ts';
import { guardFormula } from './guardFormula.ts';
import type { Found } from './lint.ts';
import { beginning, opening } from './moments.ts';
import type { FlowPath } from './path.ts';
import { partyWords } from './pathWords.ts';
import { implies } from './theory.ts';

/** Whether anybody can give the proof that a stage asks for. */

/** @param proven the paths on which it is given; of none, others say why */
export function stepUpFindings(stage: StepUpStage, index: number, proven: readonly FlowPath[]): readonly Found[] {
  const { by } = stage.stepUp;
  const isGone = (conditions: readonly Formula[]): boolean =>
    [opening, beginning].some((moment) => implies(conditions, gone(by, moment)));
  if (proven.length === 0 || !proven.every(({ conditions }) => isGone(conditions))) return [];
  const message = `Stage ${stage.id} asks for the proof of ${partyWords[by]}, and is only reached when there is no such active person: every request waits there until its life ends.`;
  const suggestion = 'Ask somebody else, or give the stage a when that leaves these requests out.';
  return [
    { rule: 'step-up-unsatisfiable', severity: 'error', path: ['stages', index, 'stepUp', 'by'], message, suggestion },
  ];
}

/** True where nobody active can be the one who is asked. */
function gone(by: StepUpParty, moment: string): Formula {
  const holds = (guard: string): Formula => guardFormula(guard, moment);
  const behind = any(holds('onBehalfOf.id == ""'), not(holds('onBehalfOf.active')));
  switch (by) {
    case 'owner':
      return not(holds('owner.active'));
    case 'onBehalfOf':
      return behind;
    case 'agent':
      return not(holds('requester.active'));
    case 'requester': {
      const isPerson = holds('requester.kind == "person"');
      return { op: 'if', condition: isPerson, whenTrue: not(holds('requester.active')), whenFalse: behind };
    }
  }
}
