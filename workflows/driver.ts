import {
  ActivityFailure,
  ApplicationFailure,
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  defineSignal,
  defineUpdate,
  isCancellation,
  setCurrentDetails,
  setHandler,
  sleep,
  TimeoutFailure,
  workflowInfo,
} from '@temporalio/workflow';
import type { AdvanceResult, RequestEvent, SignedDecision } from '../contracts/events.ts';
import { decideUpdate, nudgeSignal, openUpdate } from '../contracts/names.ts';
import type { OpenOrder, OpenResult } from '../contracts/open.ts';
import type { EffectOrder, EffectOutcome, Plan } from '../contracts/plan.ts';
import { advance, effortMs, issuanceWithin, judge, open } from './activityProxies.ts';

export const openRequest = defineUpdate<OpenResult, [OpenOrder]>(openUpdate);
export const decide = defineUpdate<AdvanceResult, [{ requestId: string; decision: SignedDecision }]>(decideUpdate);
export const nudge = defineSignal<[string]>(nudgeSignal);

/**
 * Drives one request: carries out the plan that `advance` makes, and feeds what happened back as events. It decides
 * nothing. Every plan can be asked for again, so a run that is lost loses nothing.
 * @param startRequestId given by continue-as-new; otherwise the first update or signal names the request
 * @param laterIds requests that arrived meanwhile: driven after it, in their order
 */
export async function drive(startRequestId?: string, ...laterIds: string[]): Promise<void> {
  const run = new RequestRun(startRequestId, laterIds);
  setHandler(openRequest, (order) => run.open(order));
  setHandler(decide, (order) => run.decide(order));
  setHandler(nudge, (requestId) => run.nudge(requestId));
  await run.untilDone();
  await condition(allHandlersFinished);
  const next = run.nextRequestIds;
  if (next.length > 0) await continueAsNew<typeof drive>(...next);
}

/** State of one run. Sets and maps are only read and written between awaits, in history's order. */
class RequestRun {
  /** The request that this run drives. */
  #requestId: string | undefined;
  #plan: Plan | undefined;
  /** Later requests of the same workflow id, driven by the next runs. Some may have closed meanwhile: their run is short. */
  readonly #later: Set<string>;
  #isNudged = false;
  #hasNothingToDrive = false;
  #handlersRunning = 0;
  #feedsRunning = 0;
  /** Settles, and never rejects, when the ledger has answered whoever asked last. */
  #lastAnswer: Promise<void> = Promise.resolve();
  readonly #effects = new Map<string, CancellationScope>();
  #timer: { id: string; scope: CancellationScope } | undefined;

  constructor(startRequestId: string | undefined, laterIds: readonly string[]) {
    this.#requestId = startRequestId;
    this.#later = new Set(laterIds);
    this.#isNudged = startRequestId !== undefined;
  }

  /** None may be left out: what is not handed on waits until the lifecycle finds it. */
  get nextRequestIds(): string[] {
    const isOwnDone = this.#plan === undefined || this.#plan.done;
    return [...(isOwnDone || this.#requestId === undefined ? [] : [this.#requestId]), ...this.#later];
  }

  async open(order: OpenOrder): Promise<OpenResult> {
    return this.#handling(async () => {
      const result = await this.#inTurn(() => open(order));
      if (result.opened) this.#take(result.plan);
      return result;
    });
  }

  async decide({ requestId, decision }: { requestId: string; decision: SignedDecision }): Promise<AdvanceResult> {
    return this.#handling(async () => {
      const event: RequestEvent = { kind: 'decision', id: `decision:${decision.id}`, decision };
      const result = await this.#inTurn(() => judge({ requestId, event }));
      this.#take(result.plan);
      return result;
    });
  }

  nudge(requestId: string): void {
    this.#requestId ??= requestId;
    if (requestId === this.#requestId) this.#isNudged = true;
    else this.#later.add(requestId);
  }

  /** Ends when the request is final and owes nothing, when there was nothing to drive, or when history has grown long. */
  async untilDone(): Promise<void> {
    for (;;) {
      await condition(() => this.#isNudged || this.#plan !== undefined || this.#hasNothingToDrive);
      if (this.#isNudged && this.#requestId !== undefined) {
        this.#isNudged = false;
        await this.#advance(this.#requestId, { kind: 'nudge', id: 'nudge' });
      }
      const plan = this.#plan;
      if (plan === undefined || plan.done) break;
      this.#carryOut(plan);
      await condition(() => this.#plan !== plan || this.#isNudged);
      if (workflowInfo().continueAsNewSuggested && this.#effects.size === 0) break;
    }
    this.#stopAll();
    // The end of a run cancels what it still records: an unhandled rejection, and a workflow task that fails for it.
    await condition(() => this.#effects.size === 0 && this.#feedsRunning === 0);
  }

  /** A handler that ends without a request leaves a run that was started for it with nothing to drive. */
  async #handling<T>(work: () => Promise<T>): Promise<T> {
    this.#handlersRunning += 1;
    try {
      return await work();
    } catch (error) {
      throw asOutcomeUnknown(error);
    } finally {
      this.#handlersRunning -= 1;
      this.#hasNothingToDrive = this.#handlersRunning === 0 && this.#requestId === undefined;
    }
  }

  /** The newest plan of our request counts; one of a later request waits for the next run. */
  #take(plan: Plan): void {
    this.#requestId ??= plan.requestId;
    if (plan.requestId !== this.#requestId) {
      if (!plan.done) this.#later.add(plan.requestId);
      return;
    }
    if (this.#plan !== undefined && plan.sequence < this.#plan.sequence) return;
    this.#plan = plan;
    setCurrentDetails(plan.summary);
  }

  #carryOut(plan: Plan): void {
    const wanted = new Set(plan.effects.map(({ id }) => id));
    for (const [id, scope] of this.#effects) if (!wanted.has(id)) scope.cancel();
    for (const order of plan.effects) if (!this.#effects.has(order.id)) this.#startEffect(plan.requestId, order);
    if (this.#timer?.id === plan.timer?.id) return;
    this.#timer?.scope.cancel();
    this.#timer = undefined;
    if (plan.timer !== undefined) this.#startTimer(plan.requestId, plan.timer);
  }

  #startEffect(requestId: string, order: EffectOrder): void {
    const scope = new CancellationScope();
    this.#effects.set(order.id, scope);
    void (async () => {
      const outcome = await scope.run(() => outcomeOf(order));
      // Ours until its outcome is recorded: a plan made before that still names it, and must not start it again.
      if (outcome !== undefined) await this.#feed(requestId, { kind: 'effect', id: order.id, outcome });
      this.#effects.delete(order.id);
    })();
  }

  #startTimer(requestId: string, timer: NonNullable<Plan['timer']>): void {
    const scope = new CancellationScope();
    this.#timer = { id: timer.id, scope };
    void (async () => {
      try {
        await scope.run(() => sleep(timer.delayMs, { summary: `until ${timer.dueAt}` }));
      } catch (error) {
        if (isCancellation(error)) return;
        throw error;
      }
      if (this.#timer?.id === timer.id) this.#timer = undefined;
      await this.#feed(requestId, { kind: 'timer', id: timer.id });
    })();
  }

  async #feed(requestId: string, event: RequestEvent): Promise<void> {
    this.#feedsRunning += 1;
    try {
      await this.#advance(requestId, event);
    } finally {
      this.#feedsRunning -= 1;
    }
  }

  async #advance(requestId: string, event: RequestEvent): Promise<void> {
    this.#take((await this.#inTurn(() => advance({ requestId, event }))).plan);
  }

  /**
   * Asks the ledger one thing at a time. Local activities that run at once resolve one by one when it happens and all
   * together on replay (sdk-python#1881 describes it), so that plans would be carried out in another order than history has.
   */
  #inTurn<T>(ask: () => Promise<T>): Promise<T> {
    const answer = this.#lastAnswer.then(ask);
    this.#lastAnswer = answer.then(nothing, nothing);
    return answer;
  }

  #stopAll(): void {
    for (const scope of this.#effects.values()) scope.cancel();
    this.#timer?.scope.cancel();
  }
}

function nothing(): void {}

/** Carries out one effect; undefined when it was cancelled because nobody wants its answer any more. */
async function outcomeOf(order: EffectOrder): Promise<EffectOutcome | undefined> {
  try {
    return { ok: true, result: await carryOut(order) };
  } catch (error) {
    if (isCancellation(error)) return undefined;
    return failureOf(error);
  }
}

async function carryOut(order: EffectOrder) {
  switch (order.activity) {
    case 'create':
      return issuanceWithin(order.input.timeoutMs).create(order.input);
    case 'promote':
      return issuanceWithin(effortMs).promote(order.input);
    case 'quarantine':
      return issuanceWithin(effortMs).quarantine(order.input);
    case 'destroy':
      return issuanceWithin(effortMs).destroy(order.input);
  }
}

/** The innermost reason: the activity's own error, not Temporal's wrapping of it. */
function failureOf(error: unknown): EffectOutcome {
  if (!(error instanceof ActivityFailure)) throw error;
  const { cause } = error;
  if (cause instanceof ApplicationFailure) {
    return { ok: false, reason: cause.type ?? 'Error', message: cause.message };
  }
  if (cause instanceof TimeoutFailure) {
    const last = cause.cause instanceof ApplicationFailure ? `: ${cause.cause.message}` : '';
    return { ok: false, reason: 'Timeout', message: `No answer in time${last}` };
  }
  return { ok: false, reason: 'Error', message: error.message };
}

/** A handler throws ApplicationFailure only: anything else would fail the workflow task for ever. */
function asOutcomeUnknown(error: unknown): ApplicationFailure {
  const reason = error instanceof Error ? error.message : String(error);
  return ApplicationFailure.nonRetryable(`Outcome unknown: ${reason}. Retry with the same key.`, 'OutcomeUnknown');
}
