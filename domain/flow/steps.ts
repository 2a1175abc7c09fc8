import type { Draft } from './draft.ts';
import { instant } from './draft.ts';
import type { OrderFacts } from './orders.ts';
import type { EffectOrder } from './plan.ts';

/** Failed rounds of one step until the request says `stuck`; it is tried on all the same. */
export const failuresUntilStuck = 3;
const firstBackoffMs = 5_000;
const longestBackoffMs = 300_000;

/** Backoff after the n-th failure, n from 1: 5 s, 10 s, 20 s … at most 5 min. No jitter: the activity's own retries have it. */
export function backoffMs(failures: number): number {
  return Math.min(firstBackoffMs * 2 ** (failures - 1), longestBackoffMs);
}

/** `effect:<stage>/<attempt>/<step>`: the step names its version or epoch, so that an id never means two things. */
export function effectId(draft: Draft, step: string): string {
  return `effect:${stageIdOf(draft)}/${attemptOf(draft, step)}/${step}`;
}

/** The stage of the flow's one effect: also after a cancel, when destroys are still owed. */
function stageIdOf(draft: Draft): string {
  return draft.flow.stages.find((stage) => 'effect' in stage)?.id ?? 'effect';
}

function attemptOf(draft: Draft, step: string): number {
  return draft.state.effect.retries[step]?.attempt ?? 1;
}

/** The step of an effect id; undefined when the id is not of this attempt: a late answer that no longer counts. */
export function stepOfCurrentAttempt(draft: Draft, id: string): string | undefined {
  const step = id.slice(id.lastIndexOf('/') + 1);
  return effectId(draft, step) === id ? step : undefined;
}

/** False while the step waits for its next attempt. */
export function isDue(draft: Draft, step: string): boolean {
  const retry = draft.state.effect.retries[step];
  return retry === undefined || Date.parse(retry.retryAt) <= draft.nowMs;
}

export function recordFailure(draft: Draft, step: string, failure: { reason: string; message: string }): void {
  const attempt = attemptOf(draft, step);
  const retry = { attempt: attempt + 1, retryAt: instant(draft.nowMs + backoffMs(attempt)), ...failure };
  draft.setEffect({ retries: { ...draft.state.effect.retries, [step]: retry } });
  draft.note('request.effect-failed', { step, attempt, reason: failure.reason, message: failure.message });
}

/** An attempt that ended and recorded nothing: it may have done its work or not, so the step is tried again. */
export function takeSilence(draft: Draft, step: string, { lastFailure }: Pick<OrderFacts, 'lastFailure'>): void {
  const message =
    lastFailure === undefined
      ? 'No answer in time: the attempt ended and recorded nothing'
      : `No answer in time: ${lastFailure.message}`;
  recordFailure(draft, step, { reason: lastFailure?.reason ?? 'Timeout', message });
}

export function forgetFailures(draft: Draft, step: string): void {
  const retries = Object.fromEntries(Object.entries(draft.state.effect.retries).filter(([name]) => name !== step));
  draft.setEffect({ retries });
}

/** Lets every waiting step try at once. Returns false when none was waiting. */
export function retryNow(draft: Draft): boolean {
  const retries = Object.entries(draft.state.effect.retries);
  if (retries.length === 0) return false;
  draft.setEffect({
    retries: Object.fromEntries(retries.map(([step, retry]) => [step, { ...retry, retryAt: instant(draft.nowMs) }])),
  });
  return true;
}

export function isStuck(draft: Draft): boolean {
  return Object.values(draft.state.effect.retries).some(({ attempt }) => attempt > failuresUntilStuck);
}

/** When the soonest waiting step that is still owed is tried again, epoch ms. */
export function nextRetryMs(draft: Draft, isOwed: (step: string) => boolean): number | undefined {
  const waiting = Object.entries(draft.state.effect.retries)
    .filter(([step]) => isOwed(step))
    .map(([, { retryAt }]) => Date.parse(retryAt))
    .filter((retryMs) => retryMs > draft.nowMs);
  return waiting.length === 0 ? undefined : Math.min(...waiting);
}

/** A destroy order for each `destroying` credential without a receipt that `mine` selects. */
export function destroyOrders(draft: Draft, mine: (version: number) => boolean): EffectOrder[] {
  return draft.facts.credentials
    .filter(({ state, hasReceipt, version }) => state === 'destroying' && !hasReceipt && mine(version))
    .filter(({ version }) => isDue(draft, `destroy-v${version}`))
    .map(({ version }) => ({
      id: effectId(draft, `destroy-v${version}`),
      activity: 'destroy',
      input: { identityId: draft.identity.id, version },
    }));
}
