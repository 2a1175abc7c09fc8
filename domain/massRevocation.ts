/** What revoking everything that a freeze's subjects hold comes to (ledger/massRevocations.ts). Plain JSON, no secret in it. */

/** How hard one issuer may be worked by mass revocations, all of them together. */
export interface RevocationPace {
  /** Revocations under way at most; those that are stuck do not count. */
  readonly concurrency: number;
  /** Revocations begun in any one second, at most. */
  readonly perSecond: number;
}

/** What an issuer bears unless tenure.yaml says otherwise. */
export const defaultPace: RevocationPace = { concurrency: 8, perSecond: 20 };

/** How many items a list of the closing report has at most; the counts beside it are always of all. */
export const listedInReport = 200;

/** Committed with the close, in the ledger and as evidence. Instants are RFC 3339. */
export interface MassRevocationReport {
  readonly startedBy: string;
  readonly startedAt: string;
  readonly closedAt: string;
  readonly seconds: number;
  readonly subjects: {
    readonly revoked: number;
    /** Let go before their turn: by a review, or since the freeze was lifted. */
    readonly letGo: number;
  };
  /** The credentials of the revoked subjects that were not destroyed when it began, by their receipts (promise 10). */
  readonly receipts: {
    readonly tried: number;
    readonly absent: number;
    readonly unverifiable: number;
    /** Without a receipt: another request still owes the destroy. */
    readonly missing: number;
  };
  readonly resolvedByHand: { readonly count: number; readonly first: readonly HandResolution[] };
  readonly residual: {
    readonly count: number;
    /** What can be used the longest; null when nothing can be used any more. */
    readonly worst: ResidualAccess | null;
    /** The longest first. */
    readonly first: readonly ResidualAccess[];
  };
}

/** A person vouched for a destroy that the issuer could not confirm. */
export interface HandResolution {
  readonly identityId: string;
  readonly version: number;
  readonly requestId: string;
  readonly reason: string;
}

/** What could still be used when the mass revocation closed. */
export interface ResidualAccess {
  readonly identityId: string;
  readonly version: number;
  readonly what: string;
  /** Null: nobody knows an end. */
  readonly until: string | null;
}
