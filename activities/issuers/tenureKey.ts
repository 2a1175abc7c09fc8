import { type KeyObject, timingSafeEqual } from 'node:crypto';
import { apiKeyDigest, newApiKey } from '../../domain/apiKey.ts';
import {
  type ApiKeyTable,
  apiKeyInventory,
  deleteApiKey,
  findApiKey,
  insertApiKey,
  listApiKeys,
  setApiKeyExpiry,
} from '../../ledger/apiKeys.ts';
import { databaseFault, within } from '../ledgerDatabase.ts';
import { partsOfHandle } from './handle.ts';
import type { Issuer } from './issuer.ts';
import {
  ForeignCredential,
  HandleMissing,
  HandleNotResumable,
  IssuerRefused,
  IssuerUnavailable,
} from './issuerErrors.ts';

export interface TenureKeyOptions {
  readonly prisma: ApiKeyTable;
  readonly installationId: string;
  /** 32 bytes, outside PostgreSQL: whoever reads the table can neither use a key nor try guesses at one. */
  readonly hashKey: KeyObject;
  readonly prefix: string;
  /** What identities may be given. */
  readonly scopes: readonly string[];
  readonly timeoutMs?: number;
}

const defaultTimeoutMs = 10_000;

/**
 * API keys of our own. A key is known by its keyed hash alone, in a table of the ledger's database; `POST /v1/keys/verify`
 * says whose it is and whether it is active. Every effect is one statement.
 */
export function createTenureKeyIssuer(
  name: string,
  { prisma, installationId, hashKey, prefix, scopes: offered, timeoutMs = defaultTimeoutMs }: TenureKeyOptions,
): Issuer {
  const owner = { issuer: name, installationId };

  async function ask<T>(call: Promise<T>): Promise<T> {
    try {
      return await within(timeoutMs, call);
    } catch (cause) {
      throw new IssuerUnavailable(name, databaseFault(cause).reason, { cause });
    }
  }

  /** The row of this handle. @throws ForeignCredential when another issuer or installation made it */
  async function findOwn(handle: string) {
    const row = await ask(findApiKey(prisma, handle));
    if (row !== undefined && (row.issuer !== name || row.installationId !== installationId))
      throw new ForeignCredential(name, handle);
    return row;
  }

  function accepts(digest: Uint8Array, secret: string): boolean {
    return timingSafeEqual(digest, apiKeyDigest(secret, hashKey));
  }

  async function moveExpiry(handle: string, validUntil: Date): Promise<void> {
    if (await ask(setApiKeyExpiry(prisma, { ...owner, handle, validUntil }))) return;
    await findOwn(handle);
    throw new HandleMissing(name, handle);
  }

  return {
    name,
    type: 'tenure-key',
    capabilities: { overlap: true, expiry: true, secretChosenBy: 'tenure', lastUsed: true },

    generateSecret: async () => newApiKey(prefix),

    async create({ handle, identityId, secret, scopes, validUntil }) {
      const parts = partsOfHandle(handle);
      if (parts?.identityId !== identityId)
        throw new IssuerRefused(name, handle, `it is no handle of identity ${identityId}`);
      const unknown = scopes.find((scope) => !offered.includes(scope));
      if (unknown !== undefined) throw new IssuerRefused(name, handle, `scope "${unknown}" is not offered here`);
      const digest = apiKeyDigest(secret, hashKey);
      if (await ask(insertApiKey(prisma, { ...owner, handle, ...parts, scopes, digest, validUntil }))) return;
      const found = await findOwn(handle);
      if (found === undefined) throw new IssuerRefused(name, handle, 'a later version of this identity exists already');
      if (!accepts(found.digest, secret))
        throw new HandleNotResumable(name, handle, 'it does not accept the staged secret');
      // Never earlier than it was: this may be a late repetition, and the credential committed and extended since.
      if (found.validUntil < validUntil) await moveExpiry(handle, validUntil);
    },

    extend: ({ handle, validUntil }) => moveExpiry(handle, validUntil),

    async prove({ handle, secret }) {
      const row = await ask(findApiKey(prisma, handle));
      return row?.isAccepted === true && accepts(row.digest, secret) ? 'accepted' : 'refused';
    },

    async controlLogin() {
      await ask(listApiKeys(prisma, { ...owner, identityId: '' }));
    },

    async destroy({ handle, identityId }) {
      if (partsOfHandle(handle)?.identityId !== identityId) throw new ForeignCredential(name, handle);
      if (!(await ask(deleteApiKey(prisma, { ...owner, handle })))) await findOwn(handle);
    },

    async retireIdentity({ identityId }) {
      const left = await ask(listApiKeys(prisma, { ...owner, identityId }));
      if (left.length > 0)
        throw new IssuerRefused(
          name,
          identityId,
          `${left.map(({ handle }) => handle).join(', ')} must be destroyed first`,
        );
    },

    list: (filter) => ask(listApiKeys(prisma, { ...owner, identityId: filter?.identityId })),

    async inventory(page) {
      const rows = await ask(apiKeyInventory(prisma, { issuer: name, ...page }));
      return rows.map(({ handle, identityId, installationId: madeBy, validUntil }) => ({
        handle,
        identityId,
        validUntil,
        isOurs: madeBy === installationId,
      }));
    },
  };
}
