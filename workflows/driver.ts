import {
  ActivityFailure,
  ApplicationFailure,
  allHandlersFinished,
  condition,
  continueAsNew,
  defineSignal,
  defineUpdate,
  patched,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { AdvanceResult, RequestEvent, SignedDecision } from '../contracts/events.ts';
import { decideUpdate, nudgeSignal, openUpdate } from '../contracts/names.ts';
import type { OpenResult, RequestOrder } from '../contracts/open.ts';
import type { Plan } from '../contracts/plan.ts';
import { advance, judge, open } from './activityProxies.ts';
import { DrivenRequest } from './drivenRequest.ts';

export const openRequest = defineUpdate<OpenResult, [RequestOrder]>(openUpdate);
export const decide = defineUpdate<AdvanceResult, [{ requestId: string; decision: SignedDecision }]>(decideUpdate);
export const nudge = defineSignal<[string]>(nudgeSignal);

/**
 * Drives the requests of one workflow id: carries out the plans that `advance` makes, and feeds what happened back as
 * events. It decides nothing. Every plan can be asked for again, so a run that is lost loses nothing.
 * @param requestIds given by continue-as-new; otherwise updates and signals name the requests
 */
export async function drive(...requestIds: string[]): Promise<void> {
  const run = new Run(requestIds);
  setHandler(openRequest, (order) => run.open(order));
  setHandler(decide, (order) => run.decide(order));
  setHandler(nudge, (requestId) => run.nudge(requestId));
  await run.untilDone();
  await condition(allHandlersFinished);
  const next = run.nextRequestIds;
  if (next.length > 0) await continueAsNew<typeof drive>(...next);
}

/** State of one run. Sets and maps are only read and written between awaits, in history's order. */
class Run {
  /** One at a time as a rule; a closed one may still owe destroys while the next is driven beside it. */
  readonly #driven = new Map<string, DrivenRequest>();
  /** Requests that wait for the next run: in histories from before requests were driven beside each other. */
  readonly #later = new Set<string>();
  #isAsked = false;
  #hasNothingToDrive = false;
  #handlersRunning = 0;
  /** Settles, and never rejects, when the ledger has answered whoever asked last. */
  #lastAnswer: Promise<void> = Promise.resolve();

  constructor(requestIds: readonly string[]) {
    for (const requestId of requestIds) this.nudge(requestId);
  }

  /** None may be left out: what is not handed on waits until the lifecycle finds it. */
  get nextRequestIds(): string[] {
    const open = [...this.#driven.values()].filter(({ isDone }) => !isDone);
    return [...open.map(({ requestId }) => requestId), ...this.#later];
  }

  open(order: RequestOrder): Promise<OpenResult> {
    return this.#handle(() => open(order));
  }

  decide({ requestId, decision }: { requestId: string; decision: SignedDecision }): Promise<AdvanceResult> {
    const event: RequestEvent = { kind: 'decision', id: `decision:${decision.id}`, decision };
    return this.#handle(() => this.#judge(requestId, event));
  }

  /** A decision of unknown outcome may have counted, and whoever made it need not ask again: the run looks by itself. */
  async #judge(requestId: string, event: RequestEvent): Promise<AdvanceResult> {
    try {
      return await judge({ requestId, event });
    } catch (error) {
      if (mayHaveCounted(error) && patched('looks-after-an-unknown-decision')) this.nudge(requestId);
      throw error;
    }
  }

  nudge(requestId: string): void {
    this.#isAsked = true;
    const request = this.#drivenHere(requestId);
    if (request === undefined) this.#later.add(requestId);
    else request.nudge();
  }

  /** Ends when every request is final and owes nothing, when there was nothing to drive, or when history has grown long. */
  async untilDone(): Promise<void> {
    if (await this.#isForNothing()) return;
    const requests = () => [...this.#driven.values()];
    for (;;) {
      await condition(() => this.#hasNothingToDrive || requests().some(({ wantsAttention }) => wantsAttention));
      for (const request of requests()) if (request.wantsAttention) await request.attend();
      if (requests().every(({ isDone }) => isDone)) break;
      if (workflowInfo().continueAsNewSuggested && !requests().some(({ hasEffects }) => hasEffects)) break;
    }
    for (const request of requests()) request.stop();
    // The end of a run cancels what it still records: an unhandled rejection, and a workflow task that fails for it.
    await condition(() => requests().every(({ isQuiet }) => isQuiet));
  }

  /**
   * Whoever starts a run asks it for something in the same call. Where that was lost on the way, with Temporal's memory of it,
   * nobody would ever end the run; whoever asks again starts another.
   */
  async #isForNothing(): Promise<boolean> {
    let looks = 0;
    // At the second look, whatever came with the start has been handed to its handler.
    await condition(() => this.#isAsked || looks++ > 0);
    return !this.#isAsked && patched('ends-when-it-is-for-nothing');
  }

  /** A handler that ends without a request leaves a run that was started for it with nothing to drive. */
  async #handle<T extends OpenResult | AdvanceResult>(ask: () => Promise<T>): Promise<T> {
    this.#isAsked = true;
    this.#handlersRunning += 1;
    try {
      const result = await this.#inTurn(ask);
      if ('plan' in result) this.#take(result.plan);
      return result;
    } catch (error) {
      throw asOutcomeUnknown(error);
    } finally {
      this.#handlersRunning -= 1;
      this.#hasNothingToDrive = this.#handlersRunning === 0 && this.#driven.size === 0;
    }
  }

  #take(plan: Plan): void {
    const request = this.#drivenHere(plan.requestId);
    if (request === undefined) {
      if (!plan.done) this.#later.add(plan.requestId);
      return;
    }
    request.take(plan);
    setCurrentDetails([...this.#driven.values()].map(({ summary }) => summary).join('\n'));
  }

  /** Undefined where this run's history left a second request to the next run. */
  #drivenHere(requestId: string): DrivenRequest | undefined {
    const known = this.#driven.get(requestId);
    if (known !== undefined) return known;
    if (this.#later.has(requestId)) return undefined;
    if (this.#driven.size > 0 && !patched('requests-beside-each-other')) return undefined;
    const request = new DrivenRequest(requestId, (id, event) => this.#advance(id, event));
    this.#driven.set(requestId, request);
    return request;
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
}

function nothing(): void {}

/** All but what the ledger refused for good, such as a request that it does not have. */
function mayHaveCounted(error: unknown): boolean {
  const reason = error instanceof ActivityFailure ? error.cause : error;
  return !(reason instanceof ApplicationFailure && reason.nonRetryable);
}

/** A handler throws ApplicationFailure only: anything else would fail the workflow task for ever. */
function asOutcomeUnknown(error: unknown): ApplicationFailure {
  const reason = error instanceof Error ? error.message : String(error);
  return ApplicationFailure.nonRetryable(`Outcome unknown: ${reason}. Retry with the same key.`, 'OutcomeUnknown');
}
