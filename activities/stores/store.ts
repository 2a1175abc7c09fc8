/**
 * What Tenure asks of every place where consumers get a credential's value. One file per store beside this one;
 * `test/contract/stores` holds each of them to these guarantees.
 *
 * Two kinds of path per identity: `staged` (one per version, create-only) and `live` (one, carrying the epoch).
 */
export interface Store {
  readonly name: string;
  readonly type: string;
  readonly capabilities: { readonly compareAndSet: boolean };

  /**
   * Effect: puts `value` at the version's staging path if nothing was ever there.
   * Idempotency: create-only. Returns the value that is there now, so that a repeated attempt resumes with the first one's secret.
   * @throws StagedValueDestroyed when the version was discarded: it can never be staged again
   */
  stage(order: { identityId: string; version: number; value: string }): Promise<string>;

  /** The staged value, undefined when none was ever put. @throws StagedValueDestroyed */
  readStaged(order: { identityId: string; version: number }): Promise<string | undefined>;

  /**
   * Effect: the live path serves the staged value of `version` under `epoch`.
   * Idempotency: by epoch. An equal epoch is a no-op, a lower one is refused, by compare-and-set.
   * @throws EpochSuperseded when the live path already carries a higher epoch: nothing was written
   * @throws StagedValueDestroyed when the version has no staged value any more
   */
  promote(order: { identityId: string; version: number; epoch: number }): Promise<void>;

  /** Effect: the live path holds a tombstone under `epoch` and no older value can be read. Same epoch rules as promote. Idempotent. */
  quarantine(order: { identityId: string; epoch: number }): Promise<void>;

  /** Effect: the staged value of `version` can neither be read nor put again. Idempotent. */
  discard(order: { identityId: string; version: number }): Promise<void>;

  /** What consumers get now. Undefined when nothing was ever promoted. */
  read(order: { identityId: string }): Promise<LiveValue | undefined>;

  /**
   * A page of the identities of which the store holds anything, in byte order of their ids, for the reconciler.
   * @param afterIdentityId the last id of the page before
   */
  list(order: { afterIdentityId: string; limit: number }): Promise<readonly string[]>;

  /** What the store holds of one identity, without any value. Changes nothing. */
  inspect(order: { identityId: string }): Promise<StoredIdentity>;
}

export interface StoredIdentity {
  /** Version null: a tombstone. Undefined: nothing was ever promoted. */
  readonly live: { readonly epoch: number; readonly version: number | null } | 'unreadable' | undefined;
  /** The versions whose staged value can still be read, ascending. */
  readonly staged: readonly number[];
}

export type LiveValue =
  | { readonly kind: 'value'; readonly epoch: number; readonly version: number; readonly value: string }
  | { readonly kind: 'tombstone'; readonly epoch: number };
