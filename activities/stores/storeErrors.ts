/** Errors are named for the state they leave behind; the names are matched as Temporal failure types. */

/** The live path carries a higher epoch: a newer commit, rollback or revocation happened. Nothing was written; do not retry. */
export class EpochSuperseded extends Error {
  override readonly name = 'EpochSuperseded';
  constructor(store: string, identityId: string, epochs: { asked: number; found: number }) {
    super(
      `Store ${store} carries epoch ${epochs.found} for identity ${identityId}, and epoch ${epochs.asked} was asked: a newer change won. Nothing was written.`,
    );
  }
}

/** The version's staged value was discarded; it can neither be read nor staged again. */
export class StagedValueDestroyed extends Error {
  override readonly name = 'StagedValueDestroyed';
  constructor(store: string, identityId: string, version: number) {
    super(
      `Store ${store} discarded the staged value of version ${version} of identity ${identityId}. Issue the next version.`,
    );
  }
}

/** The store could not be reached or did not answer in time; the outcome is unknown. Retryable. */
export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable';
  constructor(store: string, reason: string, options?: ErrorOptions) {
    super(
      `Store ${store} cannot be reached: ${reason}. The attempt is repeated; check the store's address, its health and Tenure's own login there.`,
      options,
    );
  }
}

/** The store said no (permission, quota, wrong mount) and nothing was written. */
export class StoreRefused extends Error {
  override readonly name = 'StoreRefused';
  constructor(store: string, reason: string, options?: ErrorOptions) {
    super(
      `Store ${store} refused: ${reason}. Nothing was written; correct the store's policy or Tenure's configuration of it.`,
      options,
    );
  }
}
