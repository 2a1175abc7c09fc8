import type { Draft } from './draft.ts';
import { destroyMint, mintOf } from './issuance.ts';

/**
 * A freeze of mode `cancel` ends what would issue and has not committed, whatever it waits for. Returns true when it did.
 * Revocations and reviews are no one's to stop; after commit there is rollback instead.
 */
export function cancelByFreeze(draft: Draft): boolean {
  const { on } = draft.flow;
  if (on === 'revocation' || on === 'review' || draft.state.effect.committedVersion !== undefined) return false;
  const freezeIds = draft.facts.holds.flatMap((hold) =>
    hold.kind === 'freeze' && hold.mode === 'cancel' ? [hold.id] : [],
  );
  if (freezeIds.length === 0) return false;
  const mint = mintOf(draft);
  if (mint !== undefined) destroyMint(draft, mint, 'frozen');
  draft.change({ change: 'stopped-by-freeze', freezeIds, what: 'cancel' });
  draft.finish('cancelled', 'frozen');
  return true;
}
