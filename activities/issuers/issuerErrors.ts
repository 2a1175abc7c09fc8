/** Errors are named for the state they leave behind; the names are matched as Temporal failure types. */

/** The handle exists and cannot be taken over: it must be destroyed, and the next version made. Nothing changed now. */
export class HandleNotResumable extends Error {
  override readonly name = 'HandleNotResumable';
  constructor(issuer: string, handle: string, reason: string, options?: ErrorOptions) {
    super(
      `Credential ${handle} exists at issuer ${issuer} but cannot be resumed: ${reason}. It will be destroyed and the next version made.`,
      options,
    );
  }
}

/** The issuer could not be reached or did not answer in time; the outcome is unknown. Retryable. */
export class IssuerUnavailable extends Error {
  override readonly name = 'IssuerUnavailable';
  constructor(issuer: string, reason: string, options?: ErrorOptions) {
    super(
      `Issuer ${issuer} cannot be reached: ${reason}. The attempt is repeated; check the issuer's address, its health and Tenure's own login there.`,
      options,
    );
  }
}

/** The issuer said no and nothing changed there. */
export class IssuerRefused extends Error {
  override readonly name = 'IssuerRefused';
  constructor(issuer: string, handle: string, reason: string, options?: ErrorOptions) {
    super(
      `Issuer ${issuer} refused ${handle}: ${reason}. Nothing was changed there; correct the issuer's configuration or the identity's scopes.`,
      options,
    );
  }
}

/** The handle is not at the issuer. */
export class HandleMissing extends Error {
  override readonly name = 'HandleMissing';
  constructor(issuer: string, handle: string) {
    super(`Credential ${handle} does not exist at issuer ${issuer}; it was destroyed or never made.`);
  }
}

/** The handle exists but does not carry this installation's tag: promise 11, never touch what we did not make. */
export class ForeignCredential extends Error {
  override readonly name = 'ForeignCredential';
  constructor(issuer: string, handle: string) {
    super(
      `Credential ${handle} at issuer ${issuer} was not made by this installation and is left alone; a person must look at it.`,
    );
  }
}

/** Half of a destroy: the credential is refused and its sessions ended, but the issuer cannot remove it yet. Retryable. */
export class DestroyIncomplete extends Error {
  override readonly name = 'DestroyIncomplete';
  constructor(issuer: string, handle: string, reason: string, options?: ErrorOptions) {
    super(
      `Credential ${handle} at issuer ${issuer} is disabled and its sessions are ended, but it cannot be removed yet: ${reason}. The attempt is repeated; clear the obstacle at the issuer.`,
      options,
    );
  }
}
