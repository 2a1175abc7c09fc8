import { EpochSuperseded, StoreRefused } from './storeErrors.ts';

/** What the live path carries or shall carry, without the value. No version (null): a tombstone. */
export interface LiveState {
  readonly epoch: number;
  readonly version: number | null;
}

/**
 * The order of writes to a live path, the same for every store: a higher epoch is written, an equal one was written
 * already, a lower one is refused. Within one epoch a tombstone comes after any value, so that nothing serves again what
 * was quarantined, even if somebody asked for both under one epoch.
 * @throws EpochSuperseded when what is found comes after what is asked
 * @throws StoreRefused when the epoch serves another version: an epoch belongs to one commit, somebody gave it out twice
 */
export function orderOfWrite(
  { store, identityId }: { store: string; identityId: string },
  asked: LiveState,
  found: LiveState | undefined,
): 'write' | 'written already' {
  if (found === undefined || found.epoch < asked.epoch) return 'write';
  if (found.epoch > asked.epoch)
    throw new EpochSuperseded(store, identityId, { asked: asked.epoch, found: found.epoch });
  if (found.version === asked.version) return 'written already';
  if (asked.version === null) return 'write';
  if (found.version === null) throw new EpochSuperseded(store, identityId, { asked: asked.epoch, found: found.epoch });
  throw new StoreRefused(
    store,
    `epoch ${asked.epoch} of identity ${identityId} serves version ${found.version} already, version ${asked.version} needs the next epoch`,
  );
}
