import { ActivityFailure, CancellationScope, isCancellation, sleep } from '@temporalio/workflow';
import type { RequestEvent } from '../contracts/events.ts';
import type { EffectOrder, Plan } from '../contracts/plan.ts';
import { effortMs, issuanceWithin } from './activityProxies.ts';

/** Puts an event to the ledger, which answers with the request's next plan. */
export type Advance = (requestId: string, event: RequestEvent) => Promise<void>;

/** One request of a run: its newest plan, and what of it is under way. */
export class DrivenRequest {
  readonly requestId: string;
  readonly #advance: Advance;
  #plan: Plan | undefined;
  #carriedOut: Plan | undefined;
  #isNudged = false;
  #feedsRunning = 0;
  readonly #effects = new Map<string, CancellationScope>();
  #timer: { id: string; scope: CancellationScope } | undefined;

  constructor(requestId: string, advance: Advance) {
    this.requestId = requestId;
    this.#advance = advance;
  }

  nudge(): void {
    this.#isNudged = true;
  }

  /** The newest plan counts, in whatever order the answers come. */
  take(plan: Plan): void {
    if (this.#plan === undefined || plan.sequence >= this.#plan.sequence) this.#plan = plan;
  }

  get summary(): string {
    return this.#plan?.summary ?? '';
  }

  /** There is a plan or a nudge that was not looked at yet. */
  get wantsAttention(): boolean {
    return this.#isNudged || this.#plan !== this.#carriedOut;
  }

  get isDone(): boolean {
    return this.#plan?.done === true && !this.#isNudged;
  }

  get hasEffects(): boolean {
    return this.#effects.size > 0;
  }

  /** Nothing is under way any more, and nothing is still being recorded. */
  get isQuiet(): boolean {
    return this.#effects.size === 0 && this.#feedsRunning === 0;
  }

  /** Asks for the plan when it was nudged, then carries the newest one out. */
  async attend(): Promise<void> {
    if (this.#isNudged) {
      this.#isNudged = false;
      await this.#advance(this.requestId, { kind: 'nudge', id: 'nudge' });
    }
    const plan = this.#plan;
    if (plan === undefined || plan === this.#carriedOut) return;
    this.#carriedOut = plan;
    if (plan.done) this.stop();
    else this.#carryOut(plan);
  }

  /** Nobody wants to hear of its effects and its timer any more. */
  stop(): void {
    for (const scope of this.#effects.values()) scope.cancel();
    this.#timer?.scope.cancel();
  }

  #carryOut(plan: Plan): void {
    const wanted = new Set(plan.effects.map(({ id }) => id));
    for (const [id, scope] of this.#effects) if (!wanted.has(id)) scope.cancel();
    for (const order of plan.effects) if (!this.#effects.has(order.id)) this.#startEffect(order);
    if (this.#timer?.id === plan.timer?.id) return;
    this.#timer?.scope.cancel();
    this.#timer = undefined;
    if (plan.timer !== undefined) this.#startTimer(plan.timer);
  }

  #startEffect(order: EffectOrder): void {
    const scope = new CancellationScope();
    this.#effects.set(order.id, scope);
    void (async () => {
      const isWanted = await scope.run(() => hasEnded(order));
      // Ours until the ledger knows: a plan made before that still names it, and must not start it again.
      if (isWanted) await this.#feed({ kind: 'effect', id: order.id });
      this.#effects.delete(order.id);
    })();
  }

  #startTimer(timer: NonNullable<Plan['timer']>): void {
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
      await this.#feed({ kind: 'timer', id: timer.id });
    })();
  }

  async #feed(event: RequestEvent): Promise<void> {
    this.#feedsRunning += 1;
    try {
      await this.#advance(this.requestId, event);
    } finally {
      this.#feedsRunning -= 1;
    }
  }
}

/**
 * Waits for the end of one effect, whatever it was: the ledger knows what came of it, and believes nothing of what is answered
 * here. False when it was cancelled because nobody wants to hear of it any more.
 */
async function hasEnded(order: EffectOrder): Promise<boolean> {
  try {
    await carryOut(order);
  } catch (error) {
    if (isCancellation(error)) return false;
    if (!(error instanceof ActivityFailure)) throw error;
  }
  return true;
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
