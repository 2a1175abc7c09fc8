import { z } from 'zod';
import { idPattern } from '../../domain/ids.ts';
import { type LiveState, orderOfWrite } from './epochOrder.ts';
import type { LiveValue, Store } from './store.ts';
import { StagedValueDestroyed, StoreRefused, StoreUnavailable } from './storeErrors.ts';
import { type KvEntry, vaultKv } from './vaultKv.ts';
import { encodePath, type VaultSessionOptions, vaultSession } from './vaultSession.ts';

export type VaultStoreOptions = Omit<VaultSessionOptions, 'timeoutMs'> & {
  /** Where the KV version 2 engine is mounted. */
  readonly mount: string;
  /** The folder in it that is Tenure's alone. */
  readonly prefix: string;
  readonly timeoutMs?: number;
};

const Live = z.union([
  z.strictObject({ epoch: z.int(), version: z.int(), value: z.string() }),
  z.strictObject({ epoch: z.int(), tombstone: z.literal(true) }),
]);
const Staged = z.union([z.strictObject({ value: z.string() }), z.strictObject({ discarded: z.literal(true) })]);

const defaultTimeoutMs = 10_000;
/** Each lost race means that somebody else's write went through, so two or three are many. */
const attempts = 10;

/**
 * HashiCorp Vault, KV version 2: consumers read `<prefix>/live/<identity>`, field `value`; staged values are at
 * `<prefix>/staged/<identity>/<version>`. Every write is a check-and-set on what was read before it. Metadata is never
 * deleted, and discarded paths keep theirs: after a deletion Vault would take a late writer's `cas` of 0 again.
 */
export function createVaultStore(name: string, options: VaultStoreOptions): Store & { close(): Promise<void> } {
  const session = vaultSession(name, { ...options, timeoutMs: options.timeoutMs ?? defaultTimeoutMs });
  const kv = vaultKv(name, session, options.mount);

  const prefix = encodePath(options.prefix);
  const livePath = (identityId: string) => `${prefix}/live/${encodePath(identityId)}`;
  const stagedPath = ({ identityId, version }: { identityId: string; version: number }) =>
    `${prefix}/staged/${encodePath(identityId)}/${version}`;

  function liveOf(path: string, entry: KvEntry & { state: 'readable' }): LiveValue {
    const live = Live.safeParse(entry.data).data;
    if (live === undefined)
      throw new StoreRefused(name, `version ${entry.version} of ${path} was not written by Tenure, and is left alone`);
    return 'tombstone' in live ? { kind: 'tombstone', epoch: live.epoch } : { kind: 'value', ...live };
  }

  /** A deleted live version hides which epoch it carried, so that only a tombstone may follow. */
  function refuseUnreadable(path: string, version: number): StoreRefused {
    return new StoreRefused(
      name,
      `version ${version} of ${path} was deleted outside Tenure, so its epoch is unknown; undelete it, or revoke the identity`,
    );
  }

  async function readStaged(order: { identityId: string; version: number }): Promise<string | undefined> {
    const path = stagedPath(order);
    const entry = await kv.read(path);
    if (entry.state === 'absent') return undefined;
    if (entry.state === 'unreadable') throw new StagedValueDestroyed(name, order.identityId, order.version);
    const staged = Staged.safeParse(entry.data).data;
    if (staged === undefined)
      throw new StoreRefused(name, `version ${entry.version} of ${path} was not written by Tenure, and is left alone`);
    if ('discarded' in staged) throw new StagedValueDestroyed(name, order.identityId, order.version);
    return staged.value;
  }

  /**
   * Reads, decides, writes by check-and-set, and begins again when somebody was faster.
   * @param content made after the decision, and never for a write that is not needed
   */
  async function writeLive(
    identityId: string,
    asked: LiveState,
    content: () => Promise<Record<string, unknown>>,
  ): Promise<void> {
    const path = livePath(identityId);
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      const entry = await kv.read(path);
      if (entry.state === 'unreadable' && asked.version !== null) throw refuseUnreadable(path, entry.version);
      const found = entry.state === 'readable' ? stateOf(liveOf(path, entry)) : undefined;
      if (orderOfWrite({ store: name, identityId }, asked, found) === 'written already') return;
      const cas = entry.state === 'absent' ? 0 : entry.version;
      if (await kv.write(path, { cas, data: await content() })) return;
    }
    throw new StoreUnavailable(name, `${path} was changed by others ${attempts} times in a row`);
  }

  return {
    name,
    type: 'vault',
    capabilities: { compareAndSet: true },
    readStaged,

    async stage({ identityId, version, value }) {
      if (await kv.write(stagedPath({ identityId, version }), { cas: 0, data: { value } })) return value;
      const first = await readStaged({ identityId, version });
      if (first === undefined)
        throw new StoreUnavailable(
          name,
          `the staged value of version ${version} of identity ${identityId} vanished while it was read`,
        );
      return first;
    },

    async promote({ identityId, version, epoch }) {
      await writeLive(identityId, { epoch, version }, async () => {
        const value = await readStaged({ identityId, version });
        if (value === undefined) throw new StagedValueDestroyed(name, identityId, version);
        return { epoch, version, value };
      });
    },

    async quarantine({ identityId, epoch }) {
      await writeLive(identityId, { epoch, version: null }, async () => ({ epoch, tombstone: true }));
      // Also when the tombstone was there already: an earlier attempt may have ended between the two.
      const versions = (await kv.versionsWithData(livePath(identityId))) ?? [];
      await kv.destroy(livePath(identityId), versions.slice(0, -1));
    },

    async discard(order) {
      const path = stagedPath(order);
      // Where nothing was staged yet, a mark takes the place, so that a late staging finds it taken.
      const versions = await kv.versionsWithData(path);
      if (versions === undefined) await kv.write(path, { cas: 0, data: { discarded: true } });
      await kv.destroy(path, versions ?? (await kv.versionsWithData(path)) ?? []);
    },

    async read({ identityId }) {
      const path = livePath(identityId);
      const entry = await kv.read(path);
      if (entry.state === 'absent') return undefined;
      if (entry.state === 'unreadable') throw refuseUnreadable(path, entry.version);
      return liveOf(path, entry);
    },

    async list({ afterIdentityId, limit }) {
      // The API lists a folder whole. Names that are no ids are not Tenure's, and left alone.
      const folders = await Promise.all([kv.list(`${prefix}/live`), kv.list(`${prefix}/staged`)]);
      const ids = [...new Set(folders.flat())].filter((id) => idPattern.test(id) && id > afterIdentityId);
      return ids.sort((one, other) => (one < other ? -1 : 1)).slice(0, limit);
    },

    async inspect({ identityId }) {
      const entry = await kv.read(livePath(identityId));
      const staged: number[] = [];
      for (const name of await kv.list(`${prefix}/staged/${encodePath(identityId)}`)) {
        if (!/^[1-9][0-9]{0,8}$/.test(name)) continue;
        const version = Number(name);
        if (((await kv.versionsWithData(stagedPath({ identityId, version }))) ?? []).length > 0) staged.push(version);
      }
      return { live: liveStateOf(entry), staged: staged.sort((one, other) => one - other) };
    },

    close: () => session.close(),
  };
}

function liveStateOf(entry: KvEntry): LiveState | 'unreadable' | undefined {
  if (entry.state === 'absent') return undefined;
  const live = entry.state === 'readable' ? Live.safeParse(entry.data).data : undefined;
  if (live === undefined) return 'unreadable';
  return { epoch: live.epoch, version: 'tombstone' in live ? null : live.version };
}

function stateOf(live: LiveValue): LiveState {
  return { epoch: live.epoch, version: live.kind === 'value' ? live.version : null };
}
