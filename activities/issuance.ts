import { createHmac, type KeyObject } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/activity';
import type { Effects } from '../contracts/activities.ts';
import type { Receipt } from '../contracts/plan.ts';
import type { Ledger } from '../ledger/client.ts';
import { type CredentialOrder, isIdentityEmptied, keepProbe, readCredential, storeOf } from '../ledger/credentials.ts';
import { requireEvidenceKept } from '../ledger/evidenceKept.ts';
import { requireActing } from '../ledger/restore.ts';
import type { Issuer } from './issuers/issuer.ts';
import type { Store } from './stores/store.ts';
import { EpochSuperseded, StagedValueDestroyed } from './stores/storeErrors.ts';

/** Where credentials are made and kept; `adapters.ts` provides the configured ones. */
export interface IssuanceParts {
  readonly ledger: Pick<Ledger, 'direct'>;
  readonly issuer: (name: string) => Issuer;
  readonly store: (name: string) => Store;
  readonly fingerprintKey: KeyObject;
}

/**
 * The effects of DESIGN section 5. Each rereads the ledger first, and may be repeated at any point; while the ledger is
 * observe-only each fails with LedgerRestored and is retried.
 */
export function issuanceEffects(parts: IssuanceParts): Effects {
  const { ledger } = parts;
  const at = (order: CredentialOrder) => ({
    issuer: parts.issuer(order.identity.issuer),
    store: parts.store(order.identity.store),
  });

  /** @throws LedgerRestored, CredentialMissing */
  async function orderFor(identityId: string, version: number): Promise<CredentialOrder> {
    const [order] = await Promise.all([
      readCredential(ledger, { identityId, version }),
      requireActing(ledger, identityId),
    ]);
    return order;
  }

  return {
    /**
     * Effect: the credential of this handle is staged in the store, exists at the issuer until the lease ends, and is proved.
     * Idempotency: the handle; a repeat takes up the secret that was staged first.
     * Errors: NoLongerWanted, HandleNotResumable, ProofRefused, StagedValueDestroyed end the mint; the rest is retried, also
     * EvidenceNotKept: nothing new is issued while nothing can be sealed.
     */
    async create({ identityId, version, leaseEndsAt }) {
      await requireEvidenceKept(ledger);
      const order = await orderFor(identityId, version);
      if (order.state !== 'minting') throw noLongerWanted(order);
      const { issuer, store } = at(order);
      const { handle } = order;
      const secret = await store.stage({ identityId, version, value: await issuer.generateSecret({ handle }) });
      const { scopes } = order.identity;
      await issuer.create({ handle, identityId, secret, scopes, validUntil: new Date(leaseEndsAt) });
      if ((await issuer.prove({ handle, secret })) === 'refused') {
        throw ApplicationFailure.nonRetryable(
          `Issuer ${issuer.name} made ${handle} but refuses it. It will be destroyed and the next version made.`,
          'ProofRefused',
        );
      }
      return { fingerprint: fingerprintOf(secret, parts.fingerprintKey) };
    },

    /**
     * Effect: the issuer accepts the version to its full expiry, and the store serves it under this epoch.
     * Idempotency: the epoch; an equal one is a no-op, a lower one is refused by the store.
     * Errors: all retried; a newer epoch or a destroy meanwhile is the answer `superseded`.
     */
    async promote({ identityId, version, epoch }) {
      const order = await orderFor(identityId, version);
      const isWanted = order.state === 'current' && order.identity.state === 'active' && order.identity.epoch === epoch;
      if (!isWanted || order.expiresAt === undefined) return { outcome: 'superseded' };
      const { issuer, store } = at(order);
      const { handle } = order;
      try {
        await issuer.extend({ handle, validUntil: order.expiresAt });
        const secret = await store.readStaged({ identityId, version });
        if (secret === undefined || (await issuer.prove({ handle, secret })) === 'refused') {
          throw new Error(
            `Issuer ${issuer.name} does not accept ${handle}; the store is left as it is. Check the issuer.`,
          );
        }
        await store.promote({ identityId, version, epoch });
        return { outcome: 'served' };
      } catch (error) {
        if (error instanceof EpochSuperseded) return { outcome: 'superseded' };
        throw error;
      }
    },

    /**
     * Effect: the live path is a tombstone under this epoch, and no older value can be read.
     * Idempotency: the epoch.
     * Errors: all retried.
     */
    async quarantine({ identityId, epoch }) {
      await requireActing(ledger, identityId);
      await parts.store(await storeOf(ledger, identityId)).quarantine({ identityId, epoch });
      return {};
    },

    /**
     * Effect: the credential is gone at the issuer, shown by a probe, and its staged value is discarded.
     * Idempotency: the handle; each looks for itself, and what a first probe tried is kept unless the credential was back.
     * Errors: all retried, without end.
     */
    async destroy({ identityId, version }) {
      const order = await orderFor(identityId, version);
      if (order.state !== 'destroying' && order.state !== 'destroyed') throw noLongerWanted(order);
      const { issuer, store } = at(order);
      // A creation that was cut off may have landed since the first look: then that one proves nothing any more.
      const isBack = order.probe !== undefined && (await isListed(order, issuer));
      await issuer.destroy({ handle: order.handle, identityId });
      const isKept = order.probe !== undefined && !isBack;
      const probe = isKept ? order.probe : await probeRefusal(order, issuer, store, version);
      const receipt = await keepProbe(ledger, { handle: order.handle, probe, isBack });
      await store.discard({ identityId, version });
      if (await isIdentityEmptied(ledger, identityId, version)) await retire(issuer, identityId);
      return { receipt };
    },
  };
}

/**
 * Removes what the issuer keeps of an identity whose every credential is confirmed gone. What it still lists came after that:
 * a creation that was cut off may land later than any lease. It goes as well, or it would keep the rest for ever.
 */
async function retire(issuer: Issuer, identityId: string): Promise<void> {
  for (const { handle } of await issuer.list({ identityId })) await issuer.destroy({ handle, identityId });
  await issuer.retireIdentity({ identityId });
}

/**
 * Promise 10. `tried`: the fingerprint that was accepted is refused now while a control login succeeds. `absent`: the
 * issuer lists it no more. A credential that is neither is not destroyed: the attempt fails and is repeated.
 */
async function probeRefusal(order: CredentialOrder, issuer: Issuer, store: Store, version: number): Promise<Receipt> {
  const { handle, identity, fingerprint } = order;
  const secret = fingerprint === undefined ? undefined : await stagedIfAny(store, identity.id, version);
  if (secret !== undefined && (await issuer.prove({ handle, secret })) === 'accepted') {
    throw new Error(`Issuer ${issuer.name} still accepts ${handle} after it was destroyed. The destroy is repeated.`);
  }
  if (await isListed(order, issuer))
    throw new Error(`Issuer ${issuer.name} still lists ${handle}. The destroy is repeated.`);
  const at = new Date().toISOString();
  if (secret === undefined) {
    return { method: 'absent', because: `issuer ${issuer.name} lists ${handle} no more`, at, stillUsable: [] };
  }
  await issuer.controlLogin();
  return {
    method: 'tried',
    because: `issuer ${issuer.name} refused ${handle} with the secret it had accepted, while a control login succeeded`,
    at,
    stillUsable: [],
  };
}

async function isListed({ handle, identity }: CredentialOrder, issuer: Issuer): Promise<boolean> {
  return (await issuer.list({ identityId: identity.id })).some((listed) => listed.handle === handle);
}

async function stagedIfAny(store: Store, identityId: string, version: number): Promise<string | undefined> {
  try {
    return await store.readStaged({ identityId, version });
  } catch (error) {
    if (error instanceof StagedValueDestroyed) return undefined;
    throw error;
  }
}

/** Keyed, so that the ledger's fingerprint says nothing about a guessable secret. */
function fingerprintOf(secret: string, key: KeyObject): string {
  return createHmac('sha256', key).update(secret, 'utf8').digest('hex').slice(0, 32);
}

function noLongerWanted(order: CredentialOrder): ApplicationFailure {
  return ApplicationFailure.nonRetryable(
    `Credential ${order.handle} is ${order.state}: this effect is no longer wanted.`,
    'NoLongerWanted',
  );
}
