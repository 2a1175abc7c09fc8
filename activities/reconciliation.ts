import type { Effects } from '../contracts/activities.ts';
import { idFromKey } from '../domain/ids.ts';
import {
  type Held,
  issuerDifferences,
  type KnownIdentity,
  looksRevoked,
  storeDifferences,
} from '../domain/reconciliation.ts';
import type { Ledger } from '../ledger/client.ts';
import { closeUnseen, type Finding, recordDifferences, type Settled } from '../ledger/findings.ts';
import { openFreeze } from '../ledger/freezes.ts';
import { identitiesAtIssuer, identitiesInStore, knownIdentities } from '../ledger/knownIdentities.ts';
import {
  type ComparedPage,
  partOf,
  type ReconciliationRun,
  recordPage,
  recordRunError,
  takeRun,
} from '../ledger/reconciliations.ts';
import { restoreInForce } from '../ledger/restore.ts';
import type { InventoryEntry, Issuer } from './issuers/issuer.ts';
import { reconciliationRepairs } from './reconciliationRepairs.ts';
import type { Store } from './stores/store.ts';

export interface ReconciliationParts {
  readonly ledger: Ledger;
  readonly issuer: (name: string) => Issuer;
  readonly store: (name: string) => Store;
  readonly effects: Pick<Effects, 'promote'>;
  readonly onError: (error: unknown, what: string) => void;
  /** Identities, or credentials, of one page: at least 2. */
  readonly pageSize?: number;
}

const defaultPageSize = 100;
/** Between two runs of one part. */
const intervalMs = 15 * 60_000;

/** How a page is carried out: what may be done about what it finds. */
interface Mode {
  readonly mayRepair: boolean;
  /** The run that makes a restored ledger fit to act: counters are raised, what looks revoked is frozen. */
  readonly isResume: boolean;
}

/**
 * Effect: one page of one issuer (`issuer/<name>`) or store (`store/<name>`) is compared with the ledger; what differs is
 * a finding, and what is certain and ours is repaired, unless the ledger is observe-only.
 * Idempotency: findings and repairs each have their own; a repeated page finds the same.
 * Errors: thrown after the run remembers them; the lifecycle comes back to the same page.
 */
export function reconcilePage(parts: ReconciliationParts): (partId: string) => Promise<void> {
  const { ledger, pageSize = defaultPageSize } = parts;
  const repairs = reconciliationRepairs(parts);

  return async function reconcile(partId) {
    const run = await takeRun(ledger, partOf(partId));
    const restore = await restoreInForce(ledger.prisma);
    const mode = { mayRepair: restore === undefined, isResume: restore !== undefined && run.restoreId === restore.id };
    try {
      const page = run.part === 'issuer' ? await comparePageOfIssuer(run, mode) : await comparePageOfStore(run, mode);
      await closeUnseen(ledger, run, page.cursor);
      // What waits for the end of any lease is looked at again soon after it.
      await recordPage(
        ledger,
        run,
        { ...page, observeOnly: !mode.mayRepair },
        page.isWaiting ? ledger.leaseMs : intervalMs,
      );
    } catch (error) {
      await recordRunError(ledger, run, error instanceof Error ? error.message : String(error));
      throw error;
    }
  };

  type Page = Omit<ComparedPage, 'observeOnly'> & { readonly isWaiting: boolean };

  async function comparePageOfIssuer(run: ReconciliationRun, mode: Mode): Promise<Page> {
    const issuer = parts.issuer(run.name);
    // '.' follows '-': everything of the last compared identity sorts before it.
    const after = run.cursor === '' ? '' : `${run.cursor}.`;
    const entries = await issuer.inventory({ after, limit: pageSize });
    const known = await identitiesAtIssuer(ledger.prisma, {
      name: run.name,
      afterIdentityId: run.cursor,
      limit: pageSize,
    });
    const cut = cutOf(entries, known, pageSize);
    const byIdentity = Map.groupBy(entries, ({ identityId }) => identityId);
    const ids = [...new Set([...byIdentity.keys(), ...known])].filter((id) => cut === undefined || id <= cut);
    const tally = newTally();
    const ledgerSays = await knownIdentities(ledger.prisma, ids);
    for (const identityId of ids) {
      const listed = versionsOf(byIdentity.get(identityId) ?? []);
      tally.foreign += listed.filter(({ isOurs }) => !isOurs).length;
      const identity = ledgerSays.get(identityId);
      // One identity that fills a page may have more than the page shows.
      const isCut = entries.length === pageSize && byIdentity.size === 1;
      if (isCut || issuerDifferences(identityId, listed, identity).length > 0)
        await settleAtIssuer(run, mode, issuer, { identityId, listed, identity }, tally);
    }
    return { ...tally, cursor: cut, compared: ids.length };
  }

  async function settleAtIssuer(
    run: ReconciliationRun,
    mode: Mode,
    issuer: Issuer,
    { identityId, listed, identity: before }: IssuerLook,
    tally: Tally,
  ): Promise<void> {
    const ours = (await issuer.list({ identityId })).map(({ handle }) => ({
      version: versionOf(handle),
      isOurs: true,
    }));
    const all = [...ours, ...listed.filter(({ isOurs }) => !isOurs)];
    const present = new Set(ours.map(({ version }) => version));
    const settled = await recordDifferences(ledger, run, {
      identityId,
      first: issuerDifferences(identityId, all, before),
      compare: (identity) => issuerDifferences(identityId, all, identity),
      ...(mode.mayRepair || mode.isResume ? { raise: { version: Math.max(0, ...present) } } : {}),
    });
    if (mode.isResume) await freezeIfRevoked(run, settled, { listed: present });
    await repairAll(mode, settled, tally, (finding) => repairs.atIssuer(issuer, finding, settled, present));
  }

  async function comparePageOfStore(run: ReconciliationRun, mode: Mode): Promise<Page> {
    const store = parts.store(run.name);
    const place = { afterIdentityId: run.cursor, limit: pageSize };
    const held = await store.list(place);
    const known = await identitiesInStore(ledger.prisma, { ...place, name: run.name });
    const cut = least(
      held.length < pageSize ? undefined : held.at(-1),
      known.length < pageSize ? undefined : known.at(-1),
    );
    const ids = [...new Set([...held, ...known])].filter((id) => cut === undefined || id <= cut);
    const tally = newTally();
    for (const identityId of ids) {
      const stored = await store.inspect({ identityId });
      const identity = (await knownIdentities(ledger.prisma, [identityId])).get(identityId);
      // Sealed stores share one table: another store's identity is that one's to compare.
      if (identity !== undefined && identity.store !== run.name) continue;
      if (storeDifferences(identityId, stored, identity).length === 0) continue;
      const again: Held = await store.inspect({ identityId });
      const epoch = typeof again.live === 'object' ? again.live.epoch : 0;
      // Before the epochs are raised: what is raised is no longer ahead.
      if (mode.isResume && identity !== undefined) await freezeIfRevoked(run, { identity }, { live: again.live });
      const settled = await recordDifferences(ledger, run, {
        identityId,
        first: storeDifferences(identityId, again, identity),
        compare: (now) => storeDifferences(identityId, again, now),
        ...(mode.isResume ? { raise: { epoch, version: Math.max(0, ...again.staged) } } : {}),
      });
      await repairAll(mode, settled, tally, (finding) => repairs.inStore(store, finding, settled, again));
    }
    return { ...tally, cursor: cut, compared: ids.length };
  }

  async function repairAll(
    mode: Mode,
    { findings }: Settled,
    tally: Tally,
    repair: (finding: Finding) => Promise<'repaired' | 'left' | 'waiting'>,
  ): Promise<void> {
    tally.found += findings.length;
    if (!mode.mayRepair) return;
    for (const finding of findings) {
      const outcome = await repair(finding);
      if (outcome === 'repaired') tally.repaired += 1;
      if (outcome === 'waiting') tally.isWaiting = true;
    }
  }

  /** Issuance stops for it until a responder has looked and lifts it. Idempotent: one freeze per restore and identity. */
  async function freezeIfRevoked(
    run: ReconciliationRun,
    { identity }: Pick<Settled, 'identity'>,
    outside: Parameters<typeof looksRevoked>[1],
  ): Promise<void> {
    if (identity === undefined || !looksRevoked(identity, outside)) return;
    const order = { principal: 'system:reconciler', key: `${run.restoreId}/${identity.id}` };
    await openFreeze(ledger, {
      id: idFromKey('freeze', order),
      identityIds: [identity.id],
      integrations: [],
      reason: `The restored ledger says that identity ${identity.id} is active, but ${run.part} ${run.name} looks as if it was revoked or rolled back since. Revoke it again, or lift this freeze.`,
      by: order.principal,
    });
  }
}

interface IssuerLook {
  readonly identityId: string;
  readonly listed: ReturnType<typeof versionsOf>;
  /** As the ledger had it before the issuer was asked once more. */
  readonly identity: KnownIdentity | undefined;
}

interface Tally {
  foreign: number;
  found: number;
  repaired: number;
  isWaiting: boolean;
}

function newTally(): Tally {
  return { foreign: 0, found: 0, repaired: 0, isWaiting: false };
}

/** The last identity that both sides have shown whole; undefined when both have come to their end. */
function cutOf(entries: readonly InventoryEntry[], known: readonly string[], pageSize: number): string | undefined {
  const ids = [...new Set(entries.map(({ identityId }) => identityId))];
  // Of a full page the last identity may go on in the next one; its second look lists it whole in any case.
  const shown = entries.length < pageSize ? undefined : (ids.at(-2) ?? ids.at(-1));
  return least(shown, known.length < pageSize ? undefined : known.at(-1));
}

function least(one: string | undefined, other: string | undefined): string | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return one < other ? one : other;
}

function versionsOf(entries: readonly InventoryEntry[]): { version: number; isOurs: boolean }[] {
  return entries.map(({ handle, isOurs }) => ({ version: versionOf(handle), isOurs }));
}

function versionOf(handle: string): number {
  return Number(handle.slice(handle.lastIndexOf('-v') + 2));
}
