import { durationMs } from '../duration.ts';
import type { ApprovalStage, Flow, Guard, RiskWeight, Stage, StepUpStage, WaitStage } from '../language.ts';
import { weightsOf } from '../risk.ts';
import { fact } from './atoms.ts';
import { flowGuardFormula } from './flowGuardFormula.ts';
import { all, any, type Formula, fails, not } from './formula.ts';
import { guardFormula } from './guardFormula.ts';
import { afterwards, beginning, opening } from './moments.ts';
import type { FlowPath, PathEnd, PathStep, StepOutcome } from './path.ts';
import { selections } from './selection.ts';
import { canBe, TooComplex } from './theory.ts';
import { exceptionsOf, waiverFormula } from './waivers.ts';

/**
 * Every way that a request can go under a flow, as `advance` runs it. A path is told by the answers that counted: before
 * an issue, rotation or review each guard and quorum is asked again, so on a path to those effects all conditions hold at
 * one instant. A revocation asks nothing again: there each stage's answer is of its own moment. Pauses, freezes,
 * cancellations and amendments come on top of every path, and each only ends it or begins it anew.
 */

/** Paths of one flow: with more, nobody reviews them, and the flow is better split. */
export const pathLimit = 1_000;

/**
 * Every distinct path of a flow for the requests it governs, in the order of its stages.
 * @param selection when the flow governs; conditions of the moment `opening`
 * @throws TooComplex naming the flow, when there are more than `pathLimit` or guards are too entangled; never cut short
 */
export function pathsOf(flow: Flow, selection: readonly Formula[]): readonly FlowPath[] {
  try {
    return new Enumeration(flow, selection).run();
  } catch (error) {
    if (!(error instanceof TooComplex)) throw error;
    throw new TooComplex(
      `The paths of flow ${flow.metadata.name} cannot all be told: ${error.message} Split the flow.`,
      {
        cause: error,
      },
    );
  }
}

/** Every path of every request that these flows may govern, those that are denied because no flow does included. */
export function pathsOfFlows(flows: readonly Flow[]): readonly FlowPath[] {
  const kinds = [...new Set(flows.map(({ on }) => on))];
  return kinds.flatMap((on) =>
    selections(flows, on).flatMap((selected): readonly FlowPath[] => {
      const { conditions } = selected;
      if (selected.is === 'governed') return pathsOf(selected.flow, conditions);
      const reason = selected.is === 'ambiguous' ? 'ambiguous-flow' : selected.is;
      return [{ on, steps: [], end: { state: 'denied', reason }, conditions, askedAgain: [] }];
    }),
  );
}

/**
 * The paths of the requests that one of these flows governs: more specific ones take theirs away.
 * @throws TooComplex naming the flow
 */
export function pathsGovernedBy(flow: Flow, flows: readonly Flow[]): readonly FlowPath[] {
  return selections(flows, flow.on).flatMap((selected) =>
    selected.is === 'governed' && selected.flow === flow ? pathsOf(flow, selected.conditions) : [],
  );
}

/** What was found at a stage, at a moment. */
interface Answer {
  readonly stage: Stage;
  readonly moment: string;
  /** The same, found at any moment. */
  readonly at: (moment: string) => Formula;
}

/** `told`: true or false, but no failure. */
type GuardAnswer = 'true' | 'false' | 'fails' | 'told';

interface Walked {
  readonly steps: readonly PathStep[];
  readonly answers: readonly Answer[];
  /** Conditions that are no stage's guard. */
  readonly further: readonly Formula[];
  /** How often people or the clock were waited for. */
  readonly waits: number;
  /** The soonest that the stage is entered, counted from the beginning of the request. */
  readonly soonestMs: number;
  /** The latest that the stage is entered, counted from the beginning of the request. */
  readonly latestMs: number;
  /** The moment at which the risk was assessed last; empty before the first. */
  readonly assessed: string;
  readonly hasBegun: boolean;
}

class Enumeration {
  readonly #flow: Flow;
  readonly #selection: readonly Formula[];
  /** Weights that cannot be evaluated for some facts. */
  readonly #fallible: readonly RiskWeight[];
  readonly #found: FlowPath[] = [];

  constructor(flow: Flow, selection: readonly Formula[]) {
    this.#flow = flow;
    this.#selection = selection;
    this.#fallible = weightsOf(flow).filter(({ when }) => canBe([...selection, fails(guardFormula(when, opening))]));
  }

  run(): readonly FlowPath[] {
    const start: Walked = {
      steps: [],
      answers: [],
      further: [],
      waits: 0,
      soonestMs: 0,
      latestMs: 0,
      assessed: '',
      hasBegun: false,
    };
    this.#enter(0, start);
    if (this.#flow.on === 'revocation') this.#atOnce(start);
    return this.#found;
  }

  #enter(index: number, walked: Walked): void {
    const stage = this.#flow.stages[index];
    if (stage === undefined) return this.#end(walked, { state: 'completed' });
    const assessed = this.#assess(stage, walked);
    if (assessed !== undefined) this.#enterAssessed(index, stage, assessed);
  }

  /** Once for each moment; the first weight without an answer denies. Undefined when some weight never has one. */
  #assess(stage: Stage, walked: Walked): Walked | undefined {
    const moment = this.#momentOf(walked);
    if (walked.hasBegun || walked.assessed === moment) return walked;
    let told: Walked = { ...walked, assessed: moment };
    for (const { when } of this.#fallible) {
      const failing = this.#answered(told, stage, this.#guardAt(when, 'fails'));
      if (this.#canBe(failing)) this.#denied(failing, stage, { is: 'not-evaluated', guard: 'risk' }, 'guard-error');
      told = this.#answered(told, stage, this.#guardAt(when, 'told'));
    }
    return this.#canBe(told) ? told : undefined;
  }

  #enterAssessed(index: number, stage: Stage, walked: Walked): void {
    const { when } = stage;
    if (when === undefined) return this.#apply(index, stage, walked);
    const answered = (is: GuardAnswer) => this.#answered(walked, stage, this.#guardAt(when, is));
    const [skipped, failing, applied] = [answered('false'), answered('fails'), answered('true')];
    if (this.#canBe(skipped)) this.#enter(index + 1, stepped(skipped, stage, { is: 'skipped' }));
    if (this.#canBe(failing)) {
      if (walked.hasBegun) this.#enter(index + 1, stepped(failing, stage, { is: 'not-told' }));
      else this.#denied(failing, stage, { is: 'not-evaluated', guard: 'when' }, 'guard-error');
    }
    if (this.#canBe(applied)) this.#apply(index, stage, applied);
  }

  #apply(index: number, stage: Stage, walked: Walked): void {
    const exceptions = exceptionsOf(this.#flow, stage);
    if (exceptions.length === 0) return this.#demand(index, stage, walked);
    const waivedBy = (some: typeof exceptions) =>
      this.#answered(walked, stage, (moment) => waiverFormula(some, moment));
    const by = exceptions.filter((exception) => this.#canBe(waivedBy([exception])));
    if (by.length > 0) this.#enter(index + 1, stepped(waivedBy(by), stage, { is: 'waived', by }));
    const asked = this.#answered(walked, stage, (moment) => not(waiverFormula(exceptions, moment)));
    if (this.#canBe(asked)) this.#demand(index, stage, asked);
  }

  #demand(index: number, stage: Stage, walked: Walked): void {
    if ('verify' in stage) {
      const { that, otherwise } = stage.verify;
      const answered = (is: GuardAnswer) => this.#answered(walked, stage, this.#guardAt(that, is));
      const [refused, failing, verified] = [answered('false'), answered('fails'), answered('true')];
      if (this.#canBe(refused)) this.#denied(refused, stage, { is: 'refused', reason: otherwise }, otherwise);
      if (this.#canBe(failing)) this.#denied(failing, stage, { is: 'not-evaluated', guard: 'that' }, 'guard-error');
      if (this.#canBe(verified)) this.#enter(index + 1, stepped(verified, stage, { is: 'verified' }));
    } else if ('approval' in stage) this.#ask(index, stage, walked);
    else if ('stepUp' in stage) this.#prove(index, stage, walked);
    else if ('wait' in stage) this.#wait(index, stage, walked);
    else if ('effect' in stage) this.#begin(index, stage, walked);
    else {
      stage satisfies { readonly notify: object };
      this.#enter(index + 1, stepped(walked, stage, { is: 'notified' }));
    }
  }

  #ask(index: number, stage: ApprovalStage, walked: Walked): void {
    const { escalate, timeout } = stage.approval;
    const lifeMs = durationMs(this.#flow.limits.requestTtl);
    const timeoutMs = durationMs(timeout.after);
    this.#denied(walked, stage, { is: 'denied-by-approver' }, 'denied-by-approver');
    if (timeoutMs < lifeMs) {
      const state = timeout.result === 'deny' ? 'denied' : 'expired';
      const timedOut = stepped(walked, stage, { is: 'timed-out', result: timeout.result });
      this.#end(timedOut, { state, reason: 'approval-timeout' });
    }
    if (walked.latestMs + timeoutMs >= lifeMs)
      this.#end(stepped(walked, stage, { is: 'request-timed-out' }), { state: 'expired', reason: 'request-timeout' });
    // An approval that comes at the deadline comes too late.
    const latestMs = Math.min(walked.latestMs + timeoutMs, lifeMs) - 1;
    const waited = { ...walked, waits: walked.waits + 1, latestMs };
    for (const escalated of escalate === undefined ? [false] : [false, true])
      this.#enter(index + 1, stepped(waited, stage, { is: 'approved', escalated }));
  }

  /** It has no time-out of its own: who does not prove, lets the request expire. */
  #prove(index: number, stage: StepUpStage, walked: Walked): void {
    this.#end(stepped(walked, stage, { is: 'request-timed-out' }), { state: 'expired', reason: 'request-timeout' });
    const latestMs = durationMs(this.#flow.limits.requestTtl) - 1;
    this.#enter(index + 1, stepped({ ...walked, waits: walked.waits + 1, latestMs }, stage, { is: 'proven' }));
  }

  #wait(index: number, stage: WaitStage, walked: Walked): void {
    const lifeMs = durationMs(this.#flow.limits.requestTtl);
    const forMs = durationMs(stage.wait.for);
    const [soonestMs, latestMs] = [walked.soonestMs + forMs, walked.latestMs + forMs];
    if (latestMs >= lifeMs)
      this.#end(stepped(walked, stage, { is: 'request-timed-out' }), { state: 'expired', reason: 'request-timeout' });
    if (soonestMs >= lifeMs) return;
    const waited = { ...walked, waits: walked.waits + 1, soonestMs, latestMs: Math.min(latestMs, lifeMs - 1) };
    this.#enter(index + 1, stepped(waited, stage, { is: 'waited' }));
  }

  #begin(index: number, stage: Stage, walked: Walked): void {
    if (this.#flow.on === 'revocation')
      return this.#enter(index + 1, { ...stepped(walked, stage, { is: 'begun' }), hasBegun: true });
    const asked = askedAgain(this.#flow, walked);
    if (!this.#canBe(asked)) return;
    if (this.#flow.on === 'publication') {
      const meanwhile = withFurther(asked, publishedMeanwhile);
      this.#denied(meanwhile, stage, { is: 'published-meanwhile' }, 'published-meanwhile');
      const unchanged = {
        ...stepped(withFurther(asked, not(publishedMeanwhile)), stage, { is: 'begun' }),
        hasBegun: true,
      };
      return this.#enter(index + 1, unchanged);
    }
    const expired = withFurther(asked, not(notExpired));
    if (this.#canBe(expired)) this.#denied(expired, stage, { is: 'identity-expired' }, 'identity-expired');
    const alive = withFurther(asked, notExpired);
    if (this.#flow.on === 'step-up') {
      const outside = withFurther(alive, not(insidePolicy));
      if (this.#canBe(outside)) this.#denied(outside, stage, { is: 'outside-policy' }, 'outside-policy');
    }
    if (this.#flow.on === 'review') {
      const leftAgain = withFurther(alive, namesNewOwner, not(ownerActive));
      if (this.#canBe(leftAgain)) this.#denied(leftAgain, stage, { is: 'new-owner-not-active' }, 'owner-not-valid');
    }
    const begun = withFurther(alive, ...whatElseHolds(this.#flow.on));
    if (this.#canBe(begun)) this.#enter(index + 1, { ...stepped(begun, stage, { is: 'begun' }), hasBegun: true });
  }

  /** A responder's revocation: its transaction runs at once, and the stages before the effect are not asked. */
  #atOnce(start: Walked): void {
    const effect = this.#flow.stages.findIndex((stage) => 'effect' in stage);
    if (effect <= 0) return;
    const before = this.#flow.stages.slice(0, effect);
    const steps = before.map((stage): PathStep => ({ stage, outcome: { is: 'passed-over' } }));
    const byResponder = withFurther({ ...start, steps }, incident);
    if (this.#canBe(byResponder)) this.#enter(effect, byResponder);
  }

  #denied(walked: Walked, stage: Stage, outcome: StepOutcome, reason: string): void {
    this.#end(stepped(walked, stage, outcome), { state: 'denied', reason });
  }

  #end(walked: Walked, end: PathEnd): void {
    if (this.#found.length === pathLimit) throw new TooComplex(`There are more than ${pathLimit} paths.`);
    const reasons = walked.steps.flatMap(({ stage, outcome }) =>
      outcome.is === 'verified' && 'verify' in stage ? [stage.verify.otherwise] : [],
    );
    this.#found.push({
      flow: this.#flow,
      on: this.#flow.on,
      steps: walked.steps,
      end,
      conditions: this.#conditionsOf(walked),
      askedAgain: walked.hasBegun && this.#flow.on !== 'revocation' ? [...new Set(reasons)] : [],
    });
  }

  #answered(walked: Walked, stage: Stage, at: Answer['at']): Walked {
    return { ...walked, answers: [...walked.answers, { stage, moment: this.#momentOf(walked), at }] };
  }

  #guardAt(guard: Guard, is: GuardAnswer): Answer['at'] {
    return (moment) => {
      const formula = flowGuardFormula(this.#flow, guard, moment);
      if (is === 'told') return not(fails(formula));
      if (is === 'true') return formula;
      return is === 'false' ? not(formula) : fails(formula);
    };
  }

  /** Guards asked in one step of `advance` see the same facts; a revocation may be held between any two. */
  #momentOf({ waits, steps, hasBegun }: Walked): string {
    if (hasBegun) return afterwards;
    if (this.#flow.on === 'revocation') return steps.length === 0 ? opening : `stage ${steps.length + 1}`;
    return waits === 0 ? opening : `wait ${waits}`;
  }

  #canBe(walked: Walked): boolean {
    return canBe(this.#conditionsOf(walked));
  }

  #conditionsOf({ answers, further }: Walked): readonly Formula[] {
    return [...this.#selection, ...answers.map(({ at, moment }) => at(moment)), ...further];
  }
}

const notExpired: Formula = not({
  op: 'atom',
  atom: { kind: 'number', of: fact('subject.expiresAt - now', beginning), comparison: '<=', bound: 0n },
});
const insidePolicy: Formula = {
  op: 'atom',
  atom: { kind: 'flag', fact: fact('policy.coversWorkspace', beginning) },
};
const ownerActive: Formula = { op: 'atom', atom: { kind: 'flag', fact: fact('owner.active', beginning) } };
const namesNewOwner: Formula = {
  op: 'atom',
  atom: { kind: 'flag', fact: fact('the review names a new owner', beginning) },
};
const publishedMeanwhile: Formula = {
  op: 'atom',
  atom: { kind: 'flag', fact: fact('other flows were published meanwhile', beginning) },
};
const incident: Formula = {
  op: 'atom',
  atom: { kind: 'text', fact: fact('request.trigger', opening), values: ['incident'] },
};

/** What the effect itself asks, whatever the stages. */
function whatElseHolds(on: Flow['on']): readonly Formula[] {
  if (on === 'review') return [any(not(namesNewOwner), ownerActive)];
  return on === 'step-up' ? [insidePolicy] : [];
}

/** Whom a notice went to is not asked again, only that the guard still has an answer. */
function askedAgain(flow: Flow, walked: Walked): Walked {
  const repeated = walked.answers.filter(({ stage }) => !('notify' in stage));
  const notices = walked.answers.filter(({ stage }) => 'notify' in stage);
  const answerable = notices.flatMap(({ stage: { when } }) =>
    when === undefined ? [] : [not(fails(flowGuardFormula(flow, when, beginning)))],
  );
  return {
    ...walked,
    answers: [...repeated.map((answer) => ({ ...answer, moment: beginning })), ...notices],
    further: [...walked.further, ...answerable],
  };
}

function stepped(walked: Walked, stage: Stage, outcome: StepOutcome): Walked {
  return { ...walked, steps: [...walked.steps, { stage, outcome }] };
}

function withFurther(walked: Walked, ...further: readonly Formula[]): Walked {
  return { ...walked, further: [...walked.further, all(...further)] };
}
