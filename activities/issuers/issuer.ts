/**
 * What Tenure asks of everything that makes, proves and destroys credentials. One file per issuer beside this one;
 * `test/contract/issuers` holds each of them to these guarantees.
 */
export interface Issuer {
  readonly name: string;
  readonly type: string;
  readonly capabilities: IssuerCapabilities;

  /** A fresh secret in the issuer's own form; never leaves the activity except into the store. Present when `secretChosenBy` is `tenure`. */
  generateSecret(order: { handle: string }): Promise<string>;

  /**
   * Effect: the credential `handle` exists, accepts `secret`, and (where the issuer can) dies by itself at `validUntil`.
   * Idempotency: by handle. An existing handle is only proved with `secret` and extended; its secret is never replaced.
   * @throws HandleNotResumable when the handle exists and does not accept `secret`: it must be destroyed, and the next version made
   * @throws IssuerUnavailable when the outcome is unknown or the issuer cannot be reached: retry
   * @throws IssuerRefused when the issuer said no and nothing changed there
   */
  create(order: CreateOrder): Promise<void>;

  /** Effect: moves the credential's own expiry. Idempotent. @throws HandleMissing when the handle does not exist. */
  extend(order: { handle: string; validUntil: Date }): Promise<void>;

  /** Tries the credential for real. `refused` is an answer; not reaching the issuer throws IssuerUnavailable. */
  prove(order: { handle: string; secret: string }): Promise<'accepted' | 'refused'>;

  /** A login that must succeed while the issuer works: without it, `refused` proves nothing. @throws IssuerUnavailable */
  controlLogin(): Promise<void>;

  /** Effect: the credential is gone and its sessions ended. Idempotent: a missing handle is success. Refuses handles it did not make (ForeignCredential). */
  destroy(order: { handle: string; identityId: string }): Promise<void>;

  /** Effect: removes what the issuer keeps per identity (an owning role), after its last credential is destroyed. Idempotent. */
  retireIdentity(order: { identityId: string }): Promise<void>;

  /** Every credential that carries this installation's tag, of one identity or of all. */
  list(filter?: { identityId: string }): Promise<readonly ListedCredential[]>;

  /**
   * A page of what the issuer has, in byte order of handles, for the reconciler: everything that carries this
   * installation's tag, and what is named like ours without it. Changes nothing.
   * @param after the last handle of the page before
   */
  inventory(order: { after: string; limit: number }): Promise<readonly InventoryEntry[]>;
}

export interface CreateOrder {
  readonly handle: string;
  readonly identityId: string;
  readonly secret: string;
  readonly scopes: readonly string[];
  /** The lease end: an uncommitted credential is refused after it. */
  readonly validUntil: Date;
}

export interface ListedCredential {
  readonly handle: string;
  readonly identityId: string;
  readonly validUntil: Date | undefined;
}

export interface InventoryEntry extends ListedCredential {
  /** False: it bears a name of ours and not our tag, so it is foreign and never touched (promise 11). */
  readonly isOurs: boolean;
}

export interface IssuerCapabilities {
  /** Two credentials of one identity are accepted at once. */
  readonly overlap: boolean;
  /** Credentials can be born with an expiry. */
  readonly expiry: boolean;
  readonly secretChosenBy: 'tenure' | 'issuer';
  readonly lastUsed: boolean;
}
