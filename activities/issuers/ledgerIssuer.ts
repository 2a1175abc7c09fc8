import type { IssuerRow, IssuerRows, RowClient } from '../../ledger/issuerRows.ts';
import { databaseFault, within } from '../ledgerDatabase.ts';
import { partsOfHandle } from './handle.ts';
import type { CreateOrder, Issuer } from './issuer.ts';
import {
  ForeignCredential,
  HandleMissing,
  HandleNotResumable,
  IssuerRefused,
  IssuerUnavailable,
} from './issuerErrors.ts';

/** Where an issuer of our own is, and what it offers. */
export interface LedgerIssuerPlace {
  readonly prisma: RowClient;
  readonly installationId: string;
  /** What identities may be given. */
  readonly scopes: readonly string[];
  readonly timeoutMs?: number;
}

/** What one type of such an issuer is. */
export interface LedgerIssuerType<Kept> {
  readonly type: string;
  readonly lastUsed: boolean;
  readonly rows: IssuerRows<Kept>;
  generateSecret(order: { handle: string }): Promise<string>;
  /** What is kept of a secret. @throws IssuerRefused when it is none of this issuer's form */
  keptOf(order: Pick<CreateOrder, 'handle' | 'secret' | 'scopes'>): Promise<Kept>;
  /** Whether the secret is that of this row. */
  accepts(row: IssuerRow & Kept, secret: string): Promise<boolean>;
}

const defaultTimeoutMs = 10_000;

/** An issuer whose credentials are rows of the ledger's database. Every effect is one statement. */
export function createLedgerIssuer<Kept>(
  name: string,
  { prisma, installationId, scopes: offered, timeoutMs = defaultTimeoutMs }: LedgerIssuerPlace,
  { type, lastUsed, rows, generateSecret, keptOf, accepts }: LedgerIssuerType<Kept>,
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
    const row = await ask(rows.find(prisma, handle));
    if (row !== undefined && (row.issuer !== name || row.installationId !== installationId))
      throw new ForeignCredential(name, handle);
    return row;
  }

  async function moveExpiry(handle: string, validUntil: Date): Promise<void> {
    if (await ask(rows.setExpiry(prisma, { ...owner, handle, validUntil }))) return;
    await findOwn(handle);
    throw new HandleMissing(name, handle);
  }

  return {
    name,
    type,
    capabilities: { overlap: true, expiry: true, secretChosenBy: 'tenure', lastUsed },
    generateSecret,

    async create({ handle, identityId, secret, scopes, validUntil }) {
      const parts = partsOfHandle(handle);
      if (parts?.identityId !== identityId)
        throw new IssuerRefused(name, handle, `it is no handle of identity ${identityId}`);
      const unknown = scopes.find((scope) => !offered.includes(scope));
      if (unknown !== undefined) throw new IssuerRefused(name, handle, `scope "${unknown}" is not offered here`);
      const kept = await keptOf({ handle, secret, scopes });
      if (await ask(rows.insert(prisma, { ...owner, handle, ...parts, validUntil, ...kept }))) return;
      const found = await findOwn(handle);
      if (found === undefined) throw new IssuerRefused(name, handle, 'a later version of this identity exists already');
      if (!(await accepts(found, secret)))
        throw new HandleNotResumable(name, handle, 'it does not accept the staged secret');
      // Never earlier than it was: this may be a late repetition, and the credential committed and extended since.
      if (found.validUntil < validUntil) await moveExpiry(handle, validUntil);
    },

    extend: ({ handle, validUntil }) => moveExpiry(handle, validUntil),

    async prove({ handle, secret }) {
      const row = await ask(rows.find(prisma, handle));
      return row?.isAccepted === true && (await accepts(row, secret)) ? 'accepted' : 'refused';
    },

    async controlLogin() {
      await ask(rows.list(prisma, { ...owner, identityId: '' }));
    },

    async destroy({ handle, identityId }) {
      if (partsOfHandle(handle)?.identityId !== identityId) throw new ForeignCredential(name, handle);
      if (!(await ask(rows.remove(prisma, { ...owner, handle })))) await findOwn(handle);
    },

    async retireIdentity({ identityId }) {
      const left = await ask(rows.list(prisma, { ...owner, identityId }));
      if (left.length > 0)
        throw new IssuerRefused(
          name,
          identityId,
          `${left.map(({ handle }) => handle).join(', ')} must be destroyed first`,
        );
    },

    list: (filter) => ask(rows.list(prisma, { ...owner, identityId: filter?.identityId })),

    async inventory(page) {
      const found = await ask(rows.inventory(prisma, { issuer: name, ...page }));
      return found.map(({ handle, identityId, installationId: madeBy, validUntil }) => ({
        handle,
        identityId,
        validUntil,
        isOurs: madeBy === installationId,
      }));
    },
  };
}
