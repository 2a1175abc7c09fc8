import { durationMs } from '../duration.ts';
import type { ApprovalStage, Flow, Separation } from '../language.ts';
import { pathConditions } from './conditions.ts';
import { flowGuardFormula } from './flowGuardFormula.ts';
import { type Formula, notTrue } from './formula.ts';
import type { Invariant, Requirement } from './invariants.ts';
import { beginning, opening } from './moments.ts';
import type { FlowPath, PathStep } from './path.ts';
import { pathsOfFlows } from './paths.ts';
import { durationWords, listed, partyWords, pathInWords, separatedWords } from './pathWords.ts';
import { canBe } from './theory.ts';
import { conditionWords } from './words.ts';

/** Invariants, proved over every path of every flow on their operation. */

export interface Violation {
  readonly requirement: Requirement;
  /** The shortest path that breaks it. */
  readonly path: FlowPath;
  /** When that path is open although it should not be; among them what is not verified. */
  readonly conditions: readonly string[];
  /** What is missing, in words. */
  readonly missing: string;
}

export interface Proof {
  readonly invariant: Invariant;
  /** Paths it speaks of; of none, it is true and says nothing. */
  readonly paths: number;
  /** One for each requirement that some path breaks; none when it is proved. */
  readonly violations: readonly Violation[];
}

/**
 * Proves each invariant over all paths of these flows, or shows the shortest path that breaks it. What the theory cannot
 * decide counts as broken: it never proves what is not so.
 * @throws TooComplex naming the flow, when its paths cannot all be told
 */
export function proveInvariants(flows: readonly Flow[], invariants: readonly Invariant[]): readonly Proof[] {
  const paths = pathsOfFlows(flows);
  return invariants.map((invariant) =>
    proofOf(
      invariant,
      paths.filter(({ on }) => on === invariant.on),
    ),
  );
}

function proofOf(invariant: Invariant, paths: readonly FlowPath[]): Proof {
  const spokenOf = invariant.mayBeWaived === true ? paths.filter((path) => !isWaived(path)) : paths;
  const meant = spokenOf.filter((path) => canBe([...path.conditions, ...whereOn(invariant, path)]));
  const shortestFirst = [...meant].sort((one, another) => lengthOf(one) - lengthOf(another));
  const violations = invariant.require.flatMap((requirement): readonly Violation[] => {
    for (const path of shortestFirst) {
      const violation = violationOn(path, requirement, whereOn(invariant, path));
      if (violation !== undefined) return [{ requirement, path, ...violation }];
    }
    return [];
  });
  const spoken = meant.filter((path) => invariant.require.some((one) => 'asks' in one) || hasBegun(path));
  return { invariant, paths: spoken.length, violations };
}

const hasBegun = ({ steps }: FlowPath): boolean => steps.some(({ outcome }) => outcome.is === 'begun');

const isWaived = ({ steps }: FlowPath): boolean => steps.some(({ outcome }) => outcome.is === 'waived');

/** Stages that did something, then conditions. */
const lengthOf = (path: FlowPath): number =>
  path.steps.filter(({ outcome }) => outcome.is !== 'skipped').length * 1_000 + path.conditions.length;

/** When the facts count: at the effect, where everything is asked again; for a revocation, when it was asked for. */
const momentOn = (path: FlowPath): string => (hasBegun(path) && path.on !== 'revocation' ? beginning : opening);

function whereOn({ where }: Invariant, path: FlowPath): readonly Formula[] {
  return where === undefined ? [] : [flowGuardFormula(path.flow, where, momentOn(path))];
}

function violationOn(
  path: FlowPath,
  requirement: Requirement,
  where: readonly Formula[],
): Pick<Violation, 'conditions' | 'missing'> | undefined {
  const conditions = pathConditions({ conditions: [...path.conditions, ...where] });
  if ('asks' in requirement) {
    const asked = path.steps.find(
      ({ stage, outcome }) => ('approval' in stage || 'stepUp' in stage) && isAsked(outcome),
    );
    return asked && { conditions, missing: `stage ${asked.stage.id} waits for people` };
  }
  if (!hasBegun(path)) return undefined;
  if ('approvals' in requirement) {
    if (path.steps.some((step) => givesApprovals(step, requirement.approvals))) return undefined;
    return { conditions, missing: `no stage of it has the approval of ${approvalWords(requirement.approvals)}` };
  }
  if ('waited' in requirement) {
    if (waitedMs(path) >= durationMs(requirement.waited)) return undefined;
    return { conditions, missing: `its waits do not last ${durationWords(requirement.waited)}` };
  }
  if ('stepUp' in requirement) {
    if (path.steps.some((step) => givesProof(step, requirement.stepUp))) return undefined;
    return { conditions, missing: `no stage of it has the proof of ${proofWords(requirement.stepUp)}` };
  }
  const verified = flowGuardFormula(path.flow, requirement.verified, momentOn(path));
  const isBroken = canBe([...path.conditions, ...where, notTrue(verified)]);
  if (!isBroken) return undefined;
  const words = conditionWords(verified).join(' and ');
  return { conditions, missing: `it is open also when it is not the case that ${words}` };
}

/** How long the waits on this path last together. */
export function waitedMs({ steps }: Pick<FlowPath, 'steps'>): number {
  return steps
    .flatMap(({ stage, outcome }) => ('wait' in stage && outcome.is === 'waited' ? [durationMs(stage.wait.for)] : []))
    .reduce((sum, ms) => sum + ms, 0);
}

function isAsked({ is }: PathStep['outcome']): boolean {
  return ['approved', 'denied-by-approver', 'timed-out', 'request-timed-out', 'proven'].includes(is);
}

type StepUp = Extract<Requirement, { stepUp: unknown }>['stepUp'];

function givesProof({ stage, outcome }: PathStep, { by, maxAgeAtMost }: StepUp): boolean {
  if (!('stepUp' in stage) || outcome.is !== 'proven') return false;
  return by.includes(stage.stepUp.by) && durationMs(stage.stepUp.maxAge) <= durationMs(maxAgeAtMost);
}

function proofWords({ by, maxAgeAtMost }: StepUp): string {
  return `${listed(by.map((party) => partyWords[party]))} (signed in at most ${durationWords(maxAgeAtMost)} ago)`;
}

type Approvals = Extract<Requirement, { approvals: unknown }>['approvals'];

function givesApprovals({ stage, outcome }: PathStep, required: Approvals): boolean {
  if (!('approval' in stage) || outcome.is !== 'approved') return false;
  if (!required.separate.every((role) => keepsAway(stage, role))) return false;
  return surelyFrom(stage, required.from, outcome.escalated) >= required.atLeast;
}

/** Whether the stage keeps this role from deciding: whoever a machine asks for counts as its requester too. */
export function keepsAway({ approval: { separation } }: ApprovalStage, role: Separation): boolean {
  return separation.includes(role) || (role === 'onBehalfOf' && separation.includes('requester'));
}

/** How many different people of these sources have agreed for certain: one person fills one place only. */
function surelyFrom({ approval }: ApprovalStage, from: readonly string[], escalated: boolean): number {
  // Whom the escalation adds may have filled any place.
  if (escalated && approval.escalate !== undefined && !from.includes(approval.escalate.to)) return 0;
  return approval.require.filter((source) => from.includes(source.from)).reduce((sum, { count }) => sum + count, 0);
}

function approvalWords({ from, atLeast, separate }: Approvals): string {
  const apart = separate.map((role) => separatedWords[role]);
  return `${atLeast} of ${listed(from)}${apart.length === 0 ? '' : ` (not ${listed(apart)})`}`;
}

/** A violation in words: what is missing, on which path, under which conditions. */
export function violationInWords({ path, conditions, missing }: Violation): readonly string[] {
  const name = path.flow === undefined ? 'no flow' : path.flow.metadata.name;
  const when = conditions.length === 0 ? [] : [`when ${conditions.join(' and ')}`];
  return [missing, `the shortest such path, of ${name}: ${pathInWords(path)}`, ...when];
}
