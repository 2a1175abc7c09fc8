import type { Draft } from './draft.ts';
import { type Answer, recordDestroyed } from './issuance.ts';
import type { DestroyResult, EffectOrder } from './plan.ts';
import { destroyOrders, effectId, forgetFailures, isDue, recordFailure } from './steps.ts';

/**
 * Revocation, DESIGN section 5. The transaction comes first and is final; the store's tombstone and the destroys run at
 * the same time, so that an unreachable store does not keep a credential alive; nothing is `revoked` before every lease
 * has ended and a last look has found nothing.
 */

/** The whole transaction of a revocation. Idempotent. */
export function beginRevocation(draft: Draft): void {
  if (draft.state.effect.revoked) return;
  draft.setEffect({ revoked: true });
  draft.change({ change: 'begin-revocation', epoch: draft.identity.epoch + 1 });
}

/** Moves a `revoke` effect as far as facts allow. Returns true when the stage is passed. */
export function settleRevocation(draft: Draft): boolean {
  beginRevocation(draft);
  const isQuarantined = draft.state.effect.quarantinedEpoch === draft.identity.epoch;
  if (!isQuarantined || draft.facts.credentials.length > 0) return false;
  if (draft.identity.state === 'revoking') draft.change({ change: 'finish-revocation' });
  return true;
}

/** The effects that are open now. */
export function revocationOrders(draft: Draft): EffectOrder[] {
  const { identity } = draft;
  const { credentials } = draft.facts;
  const orders = destroyOrders(draft, () => true);
  const quarantineStep = `quarantine-e${identity.epoch}`;
  if (draft.state.effect.quarantinedEpoch !== identity.epoch && isDue(draft, quarantineStep)) {
    const input = { identityId: identity.id, epoch: identity.epoch };
    orders.push({ id: effectId(draft, quarantineStep), activity: 'quarantine', input });
  }
  for (const { version, hasReceipt, leaseEndsAt } of credentials) {
    const step = `sweep-v${version}`;
    if (hasReceipt && Date.parse(leaseEndsAt) <= draft.nowMs && isDue(draft, step)) {
      orders.push({ id: effectId(draft, step), activity: 'destroy', input: { identityId: identity.id, version } });
    }
  }
  return orders;
}

/** The last lease end that is still ahead, epoch ms: sweeps wait for it. */
export function nextLeaseEndMs(draft: Draft): number | undefined {
  const ahead = draft.facts.credentials
    .filter(({ hasReceipt }) => hasReceipt)
    .map(({ leaseEndsAt }) => Date.parse(leaseEndsAt))
    .filter((leaseEndMs) => leaseEndMs > draft.nowMs);
  return ahead.length === 0 ? undefined : Math.max(...ahead);
}

/** Takes in what the effect of a step recorded. */
export function takeRevocationOutcome(draft: Draft, step: string, { outcome, begunAt }: Answer): void {
  if (!outcome.ok) return recordFailure(draft, step, outcome);
  forgetFailures(draft, step);
  const number = Number(step.slice(step.search(/\d+$/)));
  if (step.startsWith('quarantine-e')) {
    draft.setEffect({ quarantinedEpoch: number });
    draft.change({ change: 'record-quarantine', epoch: number });
    return;
  }
  recordDestroyed(draft, number, outcome.result as DestroyResult, Date.parse(begunAt));
}
