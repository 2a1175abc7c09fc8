import type { Effects, LifecycleActivities } from '../contracts/activities.ts';
import type { OpenOrder, OpenResult, RequestTarget } from '../contracts/open.ts';
import { ownKey } from '../domain/ownKey.ts';
import type { Ledger } from '../ledger/client.ts';
import { databaseClock } from '../ledger/databaseClock.ts';
import {
  activeIdentity,
  claimDueRows,
  claimSleepingRequests,
  type DueRow,
  recordLifecycleSuccess,
  removeDueRow,
} from '../ledger/dueWork.ts';
import { tellSuppressed } from '../ledger/refusals.ts';
import { remindOwnerOfKey } from '../ledger/registrationReminder.ts';
import { reissueOrder } from '../ledger/reissue.ts';
import { claimOwedReissues, type OwedReissue } from '../ledger/reissueOrders.ts';
import { restoreInForce, resumeIfCompared } from '../ledger/restore.ts';
import { sweepSingleUses } from '../ledger/singleUse.ts';
import { recordSwept } from '../ledger/sweep.ts';
import { departedOwners, escalateFreeze, freezeDepartedOwner, freezeMissedReview } from '../ledger/systemFreezes.ts';
import { askForReviews } from './freezeReviews.ts';

/** What the lifecycle needs of Temporal; the worker provides it. */
export interface WorkflowStarts {
  /** Update-with-start `open`. Throws when the outcome is unknown. */
  open(order: OpenOrder): Promise<OpenResult>;
  /** Signal-with-start `nudge`. */
  nudge(target: RequestTarget, requestId: string): Promise<void>;
  /** The same for a request that has long stood still: a run that cannot go on is replaced. */
  revive(target: RequestTarget, requestId: string): Promise<void>;
}

export interface LifecycleParts {
  readonly ledger: Ledger;
  /** The `destroy` effect: repeated once more after the lease. */
  readonly destroy: Effects['destroy'];
  /** One page of an issuer or a store (`reconciliation.ts`). */
  readonly reconcile: (partId: string) => Promise<void>;
  readonly starts: WorkflowStarts;
  readonly onError: (error: unknown, what: string) => void;
}

const batchSize = 50;
const principal = 'system:lifecycle';

/** For which an owed re-issue comes back after its backoff, or never, and nobody need be told. */
const mayWait = ['request-running', 'revoking', 'not-active', 'nothing-owed'];

const dueBecause = {
  rotation: 'the credential is due for rotation',
  revocation: 'the identity has expired',
  review: 'the identity is due for review',
} as const;

/** Work that falls due. A row that fails is told to `onError` and comes back after its backoff; it never stops the others. */
export function lifecycleActivities(parts: LifecycleParts): LifecycleActivities {
  const { ledger, starts } = parts;
  const work: Record<DueRow['kind'], (row: DueRow) => Promise<void>> = {
    rotation: (row) => openDue(row, 'rotation'),
    expiry: (row) => openDue(row, 'revocation'),
    review: (row) => openDue(row, 'review'),
    'review-missed': (row) => missed(row),
    'freeze-escalation': (row) => whileNeeded(row, escalateFreeze(ledger, row.subjectId)),
    'freeze-reviews': (row) => whileNeeded(row, askForReviews({ ledger, open: starts.open }, row.subjectId)),
    sweep: (row) => sweep(row),
    reconcile: (row) => parts.reconcile(row.subjectId),
  };

  /** Opens the request that fell due; a request that already runs is what was wanted. */
  async function openDue(row: DueRow, kind: keyof typeof dueBecause): Promise<void> {
    const identity = await activeIdentity(ledger, row.subjectId);
    if (identity === undefined) return removeDueRow(ledger, row);
    // A new key for each try: what was denied once is asked again, and one try is never carried out twice.
    const round = kind === 'review' ? `r${identity.reviews}` : `v${identity.highestVersion}`;
    const result = await starts.open({
      ...ownKey(principal, `${row.kind}/${identity.id}/${round}/${row.attempts}`),
      kind,
      identityId: identity.id,
      principalKind: 'system',
      trigger: 'schedule',
      justification: dueBecause[kind],
    });
    // The row comes back after its backoff, and with it the reminder, until a person rotates the agent.
    if (!result.opened && result.slug === 'registration-required') return remindOwnerOfKey(ledger, identity.id);
    if (!result.opened && result.slug !== 'request-running')
      throw new Error(`${kind} of ${identity.id} refused: ${result.detail}`);
  }

  /** What a review ordered, and no request carries: the one that did has ended without a new credential. */
  async function reissue({ reviewRequestId, identityId, attempts }: OwedReissue): Promise<void> {
    const result = await starts.open(await reissueOrder(ledger, reviewRequestId, attempts));
    if (result.opened || mayWait.includes(result.slug)) return;
    if (result.slug === 'registration-required') return remindOwnerOfKey(ledger, identityId);
    throw new Error(
      `the re-issue that review ${reviewRequestId} ordered of ${identityId} is refused: ${result.detail}`,
    );
  }

  /** The date of a review has passed without one. The row stays until a review gives it another date. */
  async function missed(row: DueRow): Promise<void> {
    const identity = await activeIdentity(ledger, row.subjectId);
    if (identity === undefined) return removeDueRow(ledger, row);
    await freezeMissedReview(ledger, identity);
  }

  /** Work that dates its row anew, or says that there is nothing left of it. */
  async function whileNeeded(row: DueRow, isNeeded: Promise<boolean>): Promise<void> {
    if (!(await isNeeded)) await removeDueRow(ledger, row);
  }

  /** What people who left still own stops until somebody owns it. Returns how many freezes that took. */
  async function freezeWhatWasLeft(): Promise<number> {
    const departed = await departedOwners(ledger, batchSize);
    let frozen = 0;
    for (const owner of departed) {
      try {
        await freezeDepartedOwner(ledger, owner);
        frozen += 1;
      } catch (error) {
        parts.onError(error, 'freeze of what an owner left');
      }
    }
    return frozen;
  }

  /** After the lease: a late creation may have landed although its destroy was confirmed. */
  async function sweep(row: DueRow): Promise<void> {
    const [identityId = '', version = ''] = row.subjectId.split('-v');
    const begunAt = await databaseClock(ledger.direct);
    const { receipt } = await parts.destroy({ identityId, version: Number(version) });
    if (await recordSwept(ledger, row.subjectId, { receipt, begunAt })) await removeDueRow(ledger, row);
  }

  return {
    /**
     * Effect: one bounded batch; while the ledger is observe-only nothing but its comparison. Idempotency: each row's own.
     * Errors: told and retried row by row.
     */
    async runDueWork() {
      const restore = await restoreInForce(ledger.prisma);
      const rows = await claimDueRows(ledger, batchSize, restore === undefined ? undefined : 'reconcile');
      for (const row of rows) {
        await work[row.kind](row).catch((error: unknown) => parts.onError(error, `${row.kind} of ${row.subjectId}`));
      }
      const reissues = restore === undefined ? await claimOwedReissues(ledger, batchSize) : [];
      for (const owed of reissues)
        await reissue(owed).catch((error: unknown) => parts.onError(error, `re-issue of ${owed.identityId}`));
      if (restore !== undefined) await resumeIfCompared(ledger);
      const sleeping = restore === undefined ? await claimSleepingRequests(ledger, batchSize) : [];
      for (const request of sleeping) {
        await starts
          .revive(request.target, request.id)
          .catch((error: unknown) => parts.onError(error, `revival of request ${request.id}`));
      }
      const departed = restore === undefined ? await freezeWhatWasLeft() : 0;
      const isMoreUsed = await sweepSingleUses(ledger.prisma);
      const isMoreSuppressed = restore === undefined && (await tellSuppressed(ledger));
      await recordLifecycleSuccess(ledger);
      const isMore = isMoreUsed || isMoreSuppressed;
      const handled = rows.length + reissues.length + sleeping.length + departed + (isMore ? 1 : 0);
      return { handled };
    },
  };
}
