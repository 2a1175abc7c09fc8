/** What revoking everything that a freeze's subjects hold comes to (ledger/massRevocations.ts). Plain JSON, no secret in it. */

/** How hard one issuer may be worked by mass revocations, all of them together. */
export interface RevocationPace {
  /** Revocations under way at most; those that are stuck count for a tenth. */
  readonly concurrency: number;
  /** Revocations begun in any one second, at most. */
  readonly perSecond: number;
}

/** What an issuer bears unless tenure.yaml says otherwise. */
export const defaultPace: RevocationPace = { concurrency: 8, perSecond: 20 };

/** What of one issuer's revocations is going on, over all mass revocations. */
export interface IssuerLoad {
  /** Begun, and neither complete nor stuck. */
  readonly underWay: number;
  readonly stuck: number;
  /** Begun within the last second. */
  readonly justBegun: number;
}

/** A stuck one is tried for 30 s at most in every 5 min and a half: ten of them work the issuer like one that is under way. */
const stuckPerSlot = 10;

/**
 * How many revocations may begin now. What is stuck takes a tenth of a slot each, and half of the slots at most: a few dead
 * ends must not keep the rest alive, and an issuer on which everything gets stuck is asked less, never nothing.
 * @returns never negative
 */
export function roomFor(
  { concurrency, perSecond }: RevocationPace,
  { underWay, stuck, justBegun }: IssuerLoad,
): number {
  const slots = Math.max(Math.ceil(concurrency / 2), concurrency - Math.floor(stuck / stuckPerSlot));
  return Math.max(0, Math.min(slots - underWay, perSecond - justBegun));
}

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
    /** Without a receipt. None since it waits for every destroy; earlier reports may have some. */
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
