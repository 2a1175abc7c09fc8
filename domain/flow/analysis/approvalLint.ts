import type { Approver } from '../../decisions.ts';
import type { ApprovalStage } from '../language.ts';
import { type Formula, not } from './formula.ts';
import { guardFormula } from './guardFormula.ts';
import type { Found } from './lint.ts';
import { beginning, opening } from './moments.ts';
import type { FlowPath } from './path.ts';
import { listed, separatedWords } from './pathWords.ts';
import { implies } from './theory.ts';

/** Whether an approval can come about at all: by what the flow itself says, and by how many people there are. */

export function approvalFindings(
  stage: ApprovalStage,
  index: number,
  approved: readonly FlowPath[],
  people: readonly Approver[] | undefined,
): readonly Found[] {
  const path = ['stages', index, 'approval', 'require'];
  const contradiction = contradictionOf(stage, approved);
  if (contradiction !== undefined)
    return [{ rule: 'approval-unsatisfiable', severity: 'error', path, message: contradiction }];
  if (people === undefined) return [];
  const missing = shortage(stage, people, 0);
  if (missing !== undefined) {
    const message = `Stage ${stage.id} needs ${missing.needed} of ${missing.from.join(' and ')}; there are ${missing.there}, active ones counted.`;
    return [{ rule: 'approval-unsatisfiable', severity: 'error', path, message }];
  }
  const unheard = denialFindings(stage, index, people);
  if (unheard.length > 0) return unheard;
  const { separation } = stage.approval;
  const short = shortage(stage, people, keptAway(stage));
  if (short === undefined) return [];
  const apart = listed(separation.map((role) => separatedWords[role]));
  const message = `Stage ${stage.id} needs ${short.needed} of ${short.from.join(' and ')}; of ${short.there} active ones too few are left when ${apart} are among them.`;
  const suggestion = 'Add people to the group, or let the stage escalate to a wider one.';
  return [{ rule: 'approval-short-of-people', severity: 'warning', path, message, suggestion }];
}

/** Denials that the whole directory cannot bring together: nobody can end the request. */
function denialFindings({ id, approval }: ApprovalStage, index: number, people: readonly Approver[]): readonly Found[] {
  const { require: sources, escalate, denials = 1 } = approval;
  const from = [...sources.map((source) => source.from), ...(escalate === undefined ? [] : [escalate.to])];
  const members = people.filter(
    ({ active, groups }) => active && groups.some((group) => from.includes(`group:${group}`)),
  );
  // The owner may be one of them, or one more.
  const there = members.length + (from.includes('owner') ? 1 : 0);
  if (there >= denials) return [];
  const message = `Stage ${id} ends by ${denials} denials; only ${there} may decide there, so nobody can end it.`;
  const suggestion = 'Lower denials, or ask more people.';
  const path = ['stages', index, 'approval', 'denials'];
  return [{ rule: 'denials-unreachable', severity: 'error', path, message, suggestion }];
}

/** The owner is asked where the owner cannot answer. */
function contradictionOf(stage: ApprovalStage, approved: readonly FlowPath[]): string | undefined {
  const { require: sources, separation } = stage.approval;
  if (!sources.some(({ from }) => from === 'owner') || approved.length === 0) return undefined;
  const isGone = (moment: string): Formula => not(guardFormula('owner.active', moment));
  const isRequester = (moment: string): Formula => guardFormula('owner.id == requester.id', moment);
  const always = (formula: (moment: string) => Formula): boolean =>
    approved.every(({ conditions }) => [opening, beginning].some((moment) => implies(conditions, formula(moment))));
  if (always(isGone)) return `Stage ${stage.id} asks the owner, and is only reached when the owner is not active.`;
  if (separation.includes('requester') && always(isRequester))
    return `Stage ${stage.id} asks the owner, and is only reached when the owner is the requester, who may not decide.`;
  return undefined;
}

/** How many people separation can keep away at most: each role is one person, and a machine has one behind it. */
function keptAway({ approval: { separation } }: ApprovalStage): number {
  const roles = new Set<string>(separation);
  if (roles.has('requester')) roles.add('onBehalfOf');
  return roles.size;
}

interface Shortage {
  readonly from: readonly string[];
  readonly needed: number;
  readonly there: number;
}

/**
 * The places that cannot all be filled when so many people are away, by Hall's theorem: some sources together have fewer
 * people than places. Whom escalation adds may fill any place.
 */
function shortage({ approval }: ApprovalStage, people: readonly Approver[], away: number): Shortage | undefined {
  const groups = approval.require.filter(({ from }) => from !== 'owner');
  const wider = approval.escalate === undefined ? [] : [approval.escalate.to];
  for (const some of subsets(groups)) {
    const from = some.map((source) => source.from);
    const eligible = [...from, ...wider].map((group) => group.slice('group:'.length));
    const there = people.filter(
      ({ active, groups: member }) => active && member.some((group) => eligible.includes(group)),
    );
    const needed = some.reduce((sum, { count }) => sum + count, 0);
    if (there.length - away < needed) return { from, needed, there: there.length };
  }
  return undefined;
}

/** Every choice of sources, the smaller first; of very many sources each alone, and all together. */
function subsets<T>(entries: readonly T[]): readonly (readonly T[])[] {
  if (entries.length > 8) return [...entries.map((entry) => [entry]), entries];
  const chosen = Array.from({ length: 2 ** entries.length - 1 }, (_, bits) =>
    entries.filter((_entry, place) => ((bits + 1) >> place) & 1),
  );
  return chosen.sort((one, another) => one.length - another.length);
}
