import { z } from 'zod';
import { StoreRefused, StoreUnavailable } from './storeErrors.ts';
import type { VaultAnswer } from './vaultHttp.ts';
import { encodePath, type VaultSession } from './vaultSession.ts';

/** The current version of one KV v2 path. */
export type KvEntry =
  | { readonly state: 'absent' }
  /** Deleted or destroyed: the version number is known, the data is not. */
  | { readonly state: 'unreadable'; readonly version: number }
  | { readonly state: 'readable'; readonly version: number; readonly data: Readonly<Record<string, unknown>> };

/** One KV v2 engine of Vault; paths are encoded already: https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2 */
export interface VaultKv {
  read(path: string): Promise<KvEntry>;
  /** Writes the next version if `cas` is still the current one, 0 meaning that there never was any. @returns false otherwise */
  write(path: string, order: { cas: number; data: Readonly<Record<string, unknown>> }): Promise<boolean>;
  /** The versions whose data is still there, oldest first; undefined when the path was never used. */
  versionsWithData(path: string): Promise<readonly number[] | undefined>;
  /** The names directly below a folder, sub-folders without their slash, in byte order; none where there is no folder. */
  list(folder: string): Promise<readonly string[]>;
  /** Removes the data of these versions for good. Their numbers stay taken. */
  destroy(path: string, versions: readonly number[]): Promise<void>;
}

const VersionMetadata = z.object({ version: z.int().positive() });
const Read = z.object({ data: z.object({ data: z.record(z.string(), z.unknown()), metadata: VersionMetadata }) });
const Unreadable = z.object({ data: z.object({ data: z.null(), metadata: VersionMetadata }) });
const Written = z.object({ data: VersionMetadata });
const Metadata = z.object({
  data: z.object({ versions: z.record(z.string().regex(/^\d+$/), z.object({ destroyed: z.boolean() })) }),
});
const Listed = z.object({ data: z.object({ keys: z.array(z.string()) }) });
const Errors = z.object({ errors: z.array(z.string()) });
const Mount = z.object({ data: z.object({ type: z.literal('kv'), options: z.object({ version: z.literal('2') }) }) });

/** vault-plugin-secrets-kv, path_data.go: the only thing that tells this refusal from any other 400. */
const casMismatch = 'check-and-set parameter did not match the current version';

export function vaultKv(store: string, session: VaultSession, mountPath: string): VaultKv {
  const mount = encodePath(mountPath);
  let isVersion2: Promise<void> | undefined;

  /** KV version 1 takes the same requests, ignores check-and-set and keeps no versions: nothing may be sent there. */
  async function requireVersion2(): Promise<void> {
    isVersion2 ??= checkVersion2().catch((error: unknown) => {
      isVersion2 = undefined;
      throw error;
    });
    return isVersion2;
  }

  async function checkVersion2(): Promise<void> {
    const answer = await session.ask({ method: 'GET', path: `sys/internal/ui/mounts/${mount}` });
    if (!Mount.safeParse(answer.body).success)
      throw new StoreRefused(store, `there is no KV version 2 engine at ${mountPath} in this namespace`);
  }

  async function ask(
    method: 'GET' | 'POST' | 'PUT',
    operation: string,
    path: string,
    body?: unknown,
  ): Promise<VaultAnswer> {
    await requireVersion2();
    return session.ask({
      method,
      path: `${mount}/${operation}/${path}`,
      ...(body === undefined ? {} : { body }),
    });
  }

  function understood<T>(schema: z.ZodType<T>, answer: VaultAnswer, path: string): T {
    const parsed = schema.safeParse(answer.body);
    if (parsed.success) return parsed.data;
    if (answer.status === 400 || answer.status === 404)
      throw new StoreRefused(
        store,
        `Vault did not take the request for ${path} (${answer.status}); check mount and namespace`,
      );
    throw new StoreUnavailable(store, `Vault's answer for ${path} has another form than its API describes`);
  }

  /** Absent is 404 with an empty list of errors; a missing engine is 404 with one. */
  function isAbsent(answer: VaultAnswer): boolean {
    return answer.status === 404 && Errors.safeParse(answer.body).data?.errors.length === 0;
  }

  return {
    async read(path) {
      const answer = await ask('GET', 'data', path);
      if (isAbsent(answer)) return { state: 'absent' };
      if (answer.status === 404)
        return { state: 'unreadable', version: understood(Unreadable, answer, path).data.metadata.version };
      const { data, metadata } = understood(Read, answer, path).data;
      return { state: 'readable', version: metadata.version, data };
    },

    async write(path, { cas, data }) {
      const answer = await ask('POST', 'data', path, { options: { cas }, data });
      if (
        answer.status === 400 &&
        Errors.safeParse(answer.body).data?.errors.some((error) => error.includes(casMismatch))
      )
        return false;
      understood(Written, answer, path);
      return true;
    },

    async versionsWithData(path) {
      const answer = await ask('GET', 'metadata', path);
      if (isAbsent(answer)) return undefined;
      const { versions } = understood(Metadata, answer, path).data;
      const numbers = Object.keys(versions).map(Number);
      if (numbers.length === 0) return undefined;
      return numbers.filter((number) => versions[number]?.destroyed === false).sort((a, b) => a - b);
    },

    async list(folder) {
      const answer = await ask('GET', 'metadata', `${folder}/?list=true`);
      if (isAbsent(answer)) return [];
      const { keys } = understood(Listed, answer, folder).data;
      return [...new Set(keys.map((key) => key.replace(/\/$/, '')))].sort((one, other) => (one < other ? -1 : 1));
    },

    async destroy(path, versions) {
      if (versions.length === 0) return;
      const answer = await ask('PUT', 'destroy', path, { versions });
      if (answer.status >= 400)
        throw new StoreRefused(store, `Vault did not destroy older versions of ${path} (${answer.status})`);
    },
  };
}
