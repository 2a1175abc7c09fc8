import type { Receipt } from '../contracts/plan.ts';
import { type Held, mayDestroyUnknown } from '../domain/reconciliation.ts';
import { handleOf } from '../ledger/applyChange.ts';
import {
  type Finding,
  isOpen,
  recordRepair,
  recordRepairError,
  type Settled,
  takeEpochAbove,
} from '../ledger/findings.ts';
import type { Issuer } from './issuers/issuer.ts';
import type { ReconciliationParts } from './reconciliation.ts';
import type { Store } from './stores/store.ts';

/** `left`: a person's to decide, or it failed and is tried again in the next run; `waiting`: not certain yet. */
type Outcome = 'repaired' | 'left' | 'waiting';
type Repair = Parameters<typeof recordRepair>[2];

export interface Repairs {
  atIssuer(issuer: Issuer, finding: Finding, settled: Settled, present: ReadonlySet<number>): Promise<Outcome>;
  inStore(store: Store, finding: Finding, settled: Settled, held: Held): Promise<Outcome>;
}

/**
 * What the reconciler does by itself: destroys what carries our tag and is nobody's, writes again what the ledger
 * recorded. Never more: a missing credential, a store that is ahead and everything foreign are for people. A repair that
 * fails is told, kept on its finding and tried again in the next run.
 */
export function reconciliationRepairs({ ledger, store: storeNamed, effects, onError }: ReconciliationParts): Repairs {
  async function carryOut(finding: Finding, repair: () => Promise<Repair | undefined>): Promise<Outcome> {
    if (!(await isOpen(ledger, finding))) return 'left';
    try {
      const done = await repair();
      if (done === undefined) return 'left';
      await recordRepair(ledger, finding, done);
      return 'repaired';
    } catch (error) {
      onError(error, `repair of finding ${finding.id} (${finding.kind})`);
      await recordRepairError(ledger, finding, error instanceof Error ? error.message : String(error));
      return 'left';
    }
  }

  /** Destroyed, and shown to be gone. A value of it that is still staged goes too. */
  async function destroy(issuer: Issuer, { identityId, version }: Finding, { identity }: Settled): Promise<Repair> {
    const handle = handleOf(identityId, version);
    await issuer.destroy({ handle, identityId });
    const left = await issuer.list({ identityId });
    if (left.some((listed) => listed.handle === handle))
      throw new Error(`Issuer ${issuer.name} still lists ${handle} after it was destroyed. It is tried again.`);
    await issuer.controlLogin();
    if (identity !== undefined) await storeNamed(identity.store).discard({ identityId, version });
    const isFinal = identity === undefined || identity.state === 'revoked' || identity.state === 'rejected';
    if (left.length === 0 && isFinal) await issuer.retireIdentity({ identityId });
    const receipt: Receipt = {
      method: 'absent',
      because: `issuer ${issuer.name} lists ${handle} no more, while a control login succeeded`,
      at: new Date().toISOString(),
      stillUsable: [],
    };
    return { resolution: `destroyed at issuer ${issuer.name}`, receipt };
  }

  return {
    async atIssuer(issuer, finding, settled, present) {
      if (finding.kind === 'returned') return carryOut(finding, () => destroy(issuer, finding, settled));
      if (finding.kind !== 'unknown') return 'left';
      // A creation that the ledger lost sight of may still be behind it.
      if (settled.now.getTime() - finding.createdAt.getTime() < ledger.leaseMs) return 'waiting';
      if (!mayDestroyUnknown(settled.identity, present)) return 'left';
      return carryOut(finding, () => destroy(issuer, finding, settled));
    },

    async inStore(store, finding, { identity }, { live }) {
      if (identity === undefined) return 'left';
      const { identityId, version } = finding;
      const { epoch } = identity;
      switch (finding.kind) {
        case 'staged-left':
          return carryOut(finding, async () => {
            await store.discard({ identityId, version });
            return { resolution: `its staged value was discarded in store ${store.name}` };
          });
        case 'tombstone-missing':
          return carryOut(finding, async () => {
            const found = typeof live === 'object' ? live.epoch : 0;
            const tombstone = found > epoch ? await takeEpochAbove(ledger, identityId, found + 1) : epoch;
            await store.quarantine({ identityId, epoch: tombstone });
            return { resolution: `quarantined again in store ${store.name} under epoch ${tombstone}` };
          });
        case 'behind':
          return carryOut(finding, async () => {
            const current = identity.credentials.find(({ state }) => state === 'current');
            if (current === undefined || identity.isMoving) return undefined;
            const served = { version: current.version, epoch };
            const { outcome } = await effects.promote({ identityId, ...served });
            if (outcome === 'superseded') return undefined;
            return { resolution: `served again by store ${store.name} under epoch ${epoch}`, served };
          });
        default:
          return 'left';
      }
    },
  };
}
