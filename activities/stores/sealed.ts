import {
  discardStaged,
  findSealed,
  insertStaged,
  listSealedIdentities,
  livePath,
  type SealedPlace,
  type SealedRow,
  type SealedTable,
  sealedPlacesOf,
  writeLive,
} from '../../ledger/sealedValues.ts';
import { databaseFault, within } from '../ledgerDatabase.ts';
import { type LiveState, orderOfWrite } from './epochOrder.ts';
import { EnvelopeUnreadable, openEnvelope, sealValue } from './sealedEnvelope.ts';
import type { SealedKeys } from './sealedKeys.ts';
import type { Store } from './store.ts';
import { StagedValueDestroyed, StoreRefused, StoreUnavailable } from './storeErrors.ts';

const defaultTimeoutMs = 10_000;

/**
 * The embedded store: AES-256-GCM envelopes in the ledger's database, keys outside it. Who reads the database learns no
 * value; who writes it can neither alter a value, nor move it to another identity, version or epoch, unnoticed.
 */
export function createSealedStore(
  name: string,
  { keys, prisma, timeoutMs = defaultTimeoutMs }: { keys: SealedKeys; prisma: SealedTable; timeoutMs?: number },
): Store {
  /** Runs one call to the database, bounded in time; what came of it is unknown when it fails. */
  async function ask<T>(call: Promise<T>): Promise<T> {
    try {
      return await within(timeoutMs, call);
    } catch (cause) {
      const { reason, isRefused } = databaseFault(cause);
      throw isRefused ? new StoreRefused(name, reason, { cause }) : new StoreUnavailable(name, reason, { cause });
    }
  }

  function open(row: SealedRow & { sealed: NonNullable<SealedRow['sealed']> }): string {
    try {
      return openEnvelope(keys, row, row.sealed);
    } catch (cause) {
      throw cause instanceof EnvelopeUnreadable ? new StoreRefused(name, cause.message, { cause }) : cause;
    }
  }

  async function readStaged({
    identityId,
    version,
  }: {
    identityId: string;
    version: number;
  }): Promise<string | undefined> {
    const row = await ask(findSealed(prisma, { identityId, path: stagedPath(version) }));
    if (row === undefined) return undefined;
    if (!isSealed(row)) throw new StagedValueDestroyed(name, identityId, version);
    return open(row);
  }

  async function findLive(identityId: string): Promise<(SealedRow & { epoch: number }) | undefined> {
    const row = await ask(findSealed(prisma, { identityId, path: livePath }));
    if (row === undefined) return undefined;
    const { epoch } = row;
    if (epoch === null || (isSealed(row) && row.version === null))
      throw new StoreRefused(
        name,
        `the live row of identity ${identityId} lacks an epoch or version, which Tenure never writes`,
      );
    return { ...row, epoch };
  }

  async function isWritten(identityId: string, asked: LiveState): Promise<boolean> {
    const live = await findLive(identityId);
    // Not opened: a value that nobody can read any more must not keep the next epoch from taking its place.
    const found = live && { epoch: live.epoch, version: isSealed(live) ? live.version : null };
    return orderOfWrite({ store: name, identityId }, asked, found) === 'written already';
  }

  return {
    name,
    type: 'sealed',
    capabilities: { compareAndSet: true },
    readStaged,

    async read({ identityId }) {
      const live = await findLive(identityId);
      if (live === undefined) return undefined;
      if (!isSealed(live) || live.version === null) return { kind: 'tombstone', epoch: live.epoch };
      return { kind: 'value', epoch: live.epoch, version: live.version, value: open(live) };
    },

    async stage({ identityId, version, value }) {
      const place = { identityId, path: stagedPath(version), version, epoch: null };
      if (await ask(insertStaged(prisma, { ...place, sealed: sealValue(keys, place, value) }))) return value;
      const first = await readStaged({ identityId, version });
      if (first === undefined)
        throw new StoreUnavailable(
          name,
          `the staged value of version ${version} of identity ${identityId} vanished while it was read`,
        );
      return first;
    },

    async promote({ identityId, version, epoch }) {
      if (await isWritten(identityId, { epoch, version })) return;
      const value = await readStaged({ identityId, version });
      if (value === undefined) throw new StagedValueDestroyed(name, identityId, version);
      const place = { identityId, path: livePath, version, epoch };
      const isFirst = await ask(writeLive(prisma, { ...place, sealed: sealValue(keys, place, value) }));
      // Somebody wrote in between: their epoch decides, as if they had come first.
      if (!isFirst) await isWritten(identityId, { epoch, version });
    },

    async quarantine({ identityId, epoch }) {
      const isFirst = await ask(writeLive(prisma, { identityId, version: null, epoch, sealed: null }));
      if (!isFirst) await isWritten(identityId, { epoch, version: null });
    },

    async discard({ identityId, version }) {
      await ask(discardStaged(prisma, { identityId, path: stagedPath(version), version }));
    },

    list: (order) => ask(listSealedIdentities(prisma, order)),

    async inspect({ identityId }) {
      const places = await ask(sealedPlacesOf(prisma, identityId));
      const live = places.find(({ path }) => path === livePath);
      return {
        live: live && liveStateOf(live),
        staged: places
          .flatMap(({ path, version, isSealed }) =>
            path !== livePath && isSealed && version !== null ? [version] : [],
          )
          .sort((one, other) => one - other),
      };
    },
  };
}

/** Tenure writes an epoch with every live row, and a version with every live value. */
function liveStateOf({ epoch, version, isSealed }: SealedPlace): LiveState | 'unreadable' {
  if (epoch === null || (isSealed && version === null)) return 'unreadable';
  return { epoch, version: isSealed ? version : null };
}

function stagedPath(version: number): string {
  return `staged/${version}`;
}

function isSealed(row: SealedRow): row is SealedRow & { sealed: NonNullable<SealedRow['sealed']> } {
  return row.sealed !== null;
}
