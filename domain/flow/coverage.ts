import type { Advance } from './advance.ts';
import { durationMs } from './duration.ts';
import type { Facts } from './facts.ts';
import type { Flow, Stage } from './language.ts';
import { type RiskContribution, weightsOf } from './risk.ts';
import type { FlowTestWatch } from './testing.ts';

/** What the tests of a flow have shown of it, and what not. */

/** Something that a test can show: a stage at work, a guard being true or false, an end. */
export interface CoverageItem {
  readonly part: 'stage' | 'guard' | 'end';
  /** In words that name it within its flow: `security`, `security when: true`, `denied: owner-not-valid`. */
  readonly what: string;
  readonly covered: boolean;
}

/**
 * Collects over the tests of one flow. What counts, each once:
 * - a stage is covered when it was at work: passed because it applied, waited at, or where the request ended;
 * - a guard (`where`, `when`, `that`, the `when` of a risk weight) twice, when it was seen to be true and to be false;
 * - an end when a test reached it: `completed`, every reason that a `verify` stage denies with, a denial by an approver,
 *   every time-out of an approval, and the end of the request's own time where a hold can bring it about.
 *
 * Read off the evidence of each step, so that it says what happened and not what was likely.
 */
export class Coverage implements FlowTestWatch {
  readonly flow: Flow;
  private readonly seen = new Set<string>();

  constructor(flow: Flow) {
    this.flow = flow;
  }

  covered(facts: Facts, isCovered: boolean): void {
    const { on, subject } = this.flow;
    // A subject of another kind is turned away before the guard is asked.
    const kind = 'subject' in facts ? facts.subject.kind : undefined;
    const isAsked = facts.request.kind === on && (subject.kind ?? kind) === kind;
    if (subject.where === undefined || !isAsked) return;
    this.seen.add(keyOf('guard', guardOutcome('subject where', isCovered)));
  }

  step({ audit, state, next, reason }: Advance): void {
    for (const { kind, data } of audit) {
      if (kind === 'request.risk-assessed') this.weighed(data['contributions']);
      const stage = this.flow.stages.find(({ id }) => id === data['stage']);
      if (stage === undefined) continue;
      if (kind === 'request.stage-skipped') this.seen.add(keyOf('guard', guardOutcome(`${stage.id} when`, false)));
      if (kind === 'request.stage-passed') this.worked(stage, true);
      // Waived, it decided nothing; that it applied was seen.
      if (kind === 'request.stage-waived' && stage.when !== undefined)
        this.seen.add(keyOf('guard', guardOutcome(`${stage.id} when`, true)));
    }
    const here = this.flow.stages[state.stage];
    const isFinished = audit.some(({ kind }) => kind === 'request.finished');
    if (isFinished) this.seen.add(keyOf('end', endOf(next.state, reason)));
    if (here === undefined) return;
    if (isFinished) return this.endedAt(here, reason);
    const isWaited = 'wait' in here && next.state === 'evaluating';
    const isAsking = next.state === 'awaiting-approval' || next.state === 'awaiting-proof';
    const isAtWork = 'effect' in here ? next.effects.length > 0 : isAsking;
    if (isAtWork || isWaited) this.worked(here, true);
  }

  /** Everything there is to cover, in the order of the flow. */
  get items(): readonly CoverageItem[] {
    const { flow } = this;
    const guards = [
      ...(flow.subject.where === undefined ? [] : ['subject where']),
      ...weightsOf(flow).map(weightName),
      ...flow.stages.flatMap((stage) => [
        ...(stage.when === undefined ? [] : [`${stage.id} when`]),
        ...('verify' in stage ? [`${stage.id} that`] : []),
      ]),
    ];
    return [
      ...flow.stages.map(({ id }) => this.item('stage', id)),
      ...guards.flatMap((guard) => [true, false].map((value) => this.item('guard', guardOutcome(guard, value)))),
      ...endsOf(flow).map((end) => this.item('end', end)),
    ];
  }

  private item(part: CoverageItem['part'], what: string): CoverageItem {
    return { part, what, covered: this.seen.has(keyOf(part, what)) };
  }

  /** A test that gives the risk itself shows nothing of the weights. */
  private weighed(contributions: unknown): void {
    if (!Array.isArray(contributions)) return;
    const counted = new Set(contributions.map(({ because }: RiskContribution) => because));
    const weights = weightsOf(this.flow);
    if (![...counted].every((because) => weights.some((weight) => weight.because === because))) return;
    for (const weight of weights)
      this.seen.add(keyOf('guard', guardOutcome(weightName(weight), counted.has(weight.because))));
  }

  private worked(stage: Stage, isPassed: boolean): void {
    this.seen.add(keyOf('stage', stage.id));
    if (stage.when !== undefined) this.seen.add(keyOf('guard', guardOutcome(`${stage.id} when`, true)));
    if ('verify' in stage) this.seen.add(keyOf('guard', guardOutcome(`${stage.id} that`, isPassed)));
  }

  private endedAt(stage: Stage, reason: string | undefined): void {
    if ('verify' in stage && reason === stage.verify.otherwise) this.worked(stage, false);
    if ('approval' in stage && (reason === 'denied-by-approver' || reason === 'approval-timeout'))
      this.worked(stage, true);
    if ('stepUp' in stage && reason === 'request-timeout') this.worked(stage, true);
  }
}

const weightName = ({ because }: RiskContribution): string => `risk ${because}`;

/** Of these items, how many of a hundred are covered; 100 when there is nothing to cover. */
export function coveredPercent(items: readonly CoverageItem[]): number {
  return items.length === 0 ? 100 : (100 * items.filter(({ covered }) => covered).length) / items.length;
}

const keyOf = (part: CoverageItem['part'], what: string): string => `${part} ${what}`;
const guardOutcome = (guard: string, value: boolean): string => `${guard}: ${value}`;
const endOf = (state: string, reason: string | undefined): string =>
  reason === undefined ? state : `${state}: ${reason}`;

/** Ends that the flow itself speaks of; what any request can meet (a cancel, an expired identity) is not the flow's. */
function endsOf({ on, stages, limits }: Flow): readonly string[] {
  const approvals = stages.flatMap((stage) => ('approval' in stage ? [stage.approval] : []));
  const requestTtlMs = durationMs(limits.requestTtl);
  // A freeze holds what would issue until its time is over; people's deadlines and waits end everything else before that,
  // unless together they are as long. A proof has no time-out of its own.
  const mayOutlive =
    on === 'onboarding' ||
    on === 'rotation' ||
    on === 'step-up' ||
    stages.some((stage) => 'stepUp' in stage) ||
    mayStandFor(stages, requestTtlMs);
  const ends = [
    'completed',
    ...stages.flatMap((stage) => ('verify' in stage ? [`denied: ${stage.verify.otherwise}`] : [])),
    ...approvals.flatMap(({ timeout }) => [
      'denied: denied-by-approver',
      ...(durationMs(timeout.after) < requestTtlMs
        ? [endOf(timeout.result === 'deny' ? 'denied' : 'expired', 'approval-timeout')]
        : []),
    ]),
    ...(mayOutlive ? ['expired: request-timeout'] : []),
  ];
  return [...new Set(ends)];
}

/** Whether some stage may still stand so long after the beginning. */
function mayStandFor(stages: readonly Stage[], lifeMs: number): boolean {
  let latestMs = 0;
  for (const stage of stages) {
    if ('wait' in stage) latestMs += durationMs(stage.wait.for);
    if ('approval' in stage) latestMs += durationMs(stage.approval.timeout.after);
    if (latestMs >= lifeMs) return true;
    // An approval that comes at the deadline comes too late.
    if ('approval' in stage) latestMs -= 1;
  }
  return false;
}
