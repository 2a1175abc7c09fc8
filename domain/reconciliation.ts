import type { CredentialState, IdentityState } from './states.ts';

/**
 * What differs between the ledger and what an issuer or a store has, of one identity. Pure: the reconciler reads the
 * ledger before and, under its lock, after it looks outside, and believes only what differs from both.
 */

export const findingKinds = [
  /** At an issuer: it carries our tag, and the ledger does not know the handle. In a store: of no identity of ours. */
  'unknown',
  /** The ledger says current or retiring, and the issuer lists it no more. */
  'missing',
  /** Destroyed with a receipt, and there again. */
  'returned',
  /** It bears a handle of an identity of ours without our tag. */
  'foreign',
  /** The store serves less than the ledger recorded. */
  'behind',
  /** The store serves what the ledger never gave out. */
  'ahead',
  /** A revoked identity has no tombstone. */
  'tombstone-missing',
  /** The staged value of a destroyed version can still be read. */
  'staged-left',
] as const;
export type FindingKind = (typeof findingKinds)[number];

export interface Difference {
  readonly kind: FindingKind;
  readonly identityId: string;
  /** The credential's; absent where the whole live path is meant. */
  readonly version?: number;
  /** What is there and what the ledger says, in words. */
  readonly detail: string;
}

export interface KnownIdentity {
  readonly id: string;
  readonly state: IdentityState;
  readonly epoch: number;
  readonly store: string;
  /** An onboarding, rotation or revocation is open: it promotes, quarantines and destroys by itself. */
  readonly isMoving: boolean;
  readonly credentials: readonly KnownCredential[];
}

export interface KnownCredential {
  readonly version: number;
  readonly state: CredentialState;
  /** The epoch that the store was recorded to serve it under. */
  readonly promotedEpoch: number | undefined;
}

/** One identity at its issuer: `listed` holds the versions that are there. */
export function issuerDifferences(
  identityId: string,
  listed: readonly { readonly version: number; readonly isOurs: boolean }[],
  identity: KnownIdentity | undefined,
): readonly Difference[] {
  const differences: Difference[] = [];
  const known = new Map(identity?.credentials.map(({ version, state }) => [version, state]));
  for (const { version, isOurs } of listed) {
    const state = known.get(version);
    if (!isOurs) {
      // Another installation on the same server may have the same form of names: only ours concern us.
      if (identity !== undefined) differences.push(difference('foreign', version, 'it is there without our tag'));
    } else if (state === undefined) {
      const whose = identity === undefined ? 'nor its identity' : `of an identity that is ${identity.state}`;
      differences.push(difference('unknown', version, `the ledger knows no such credential, ${whose}`));
    } else if (state === 'destroyed') {
      differences.push(difference('returned', version, 'the ledger has it destroyed, and it is there again'));
    }
  }
  const present = new Set(listed.filter(({ isOurs }) => isOurs).map(({ version }) => version));
  for (const [version, state] of known) {
    if ((state === 'current' || state === 'retiring') && !present.has(version))
      differences.push(difference('missing', version, `the ledger has it ${state}, and it is not there`));
  }
  return differences;

  function difference(kind: FindingKind, version: number, detail: string): Difference {
    return { kind, identityId, version, detail };
  }
}

/** What a store holds of one identity (activities/stores/store.ts `StoredIdentity`). */
export interface Held {
  readonly live: { readonly epoch: number; readonly version: number | null } | 'unreadable' | undefined;
  readonly staged: readonly number[];
}

/** One identity in its store. */
export function storeDifferences(
  identityId: string,
  held: Held,
  identity: KnownIdentity | undefined,
): readonly Difference[] {
  const { live } = held;
  if (identity === undefined) {
    if (live === undefined && held.staged.length === 0) return [];
    return [{ kind: 'unknown', identityId, detail: `${wordsOf(live)}, and the ledger knows no such identity` }];
  }
  const differences = liveDifference(identity, live);
  for (const version of held.staged) {
    if (identity.credentials.some((known) => known.version === version && known.state === 'destroyed'))
      differences.push({ kind: 'staged-left', identityId, version, detail: 'destroyed, and its value can be read' });
  }
  return differences;
}

function liveDifference(identity: KnownIdentity, live: Held['live']): Difference[] {
  const served = live === 'unreadable' ? undefined : live;
  const found = (kind: FindingKind, expected: string): Difference[] => [
    { kind, identityId: identity.id, detail: `${wordsOf(live)}; the ledger says ${expected}` },
  ];
  if (identity.state === 'revoked') {
    const isTombstone = served !== undefined && served.version === null && served.epoch >= identity.epoch;
    return isTombstone ? [] : found('tombstone-missing', `revoked under epoch ${identity.epoch}`);
  }
  if (served !== undefined && served.epoch > identity.epoch) return found('ahead', `epoch ${identity.epoch}`);
  // What is not settled is the open request's to bring about.
  const current = identity.credentials.find(({ state }) => state === 'current');
  if (identity.state !== 'active' || current === undefined) return [];
  if (identity.isMoving && current.promotedEpoch !== identity.epoch) return [];
  const expected = `version ${current.version} under epoch ${identity.epoch}`;
  if (served === undefined || served.epoch < identity.epoch) return found('behind', expected);
  return served.version === current.version ? [] : found('ahead', expected);
}

function wordsOf(live: Held['live']): string {
  if (live === undefined) return 'the store serves nothing';
  if (live === 'unreadable') return 'what the store has is not readable';
  return live.version === null
    ? `the store has a tombstone under epoch ${live.epoch}`
    : `the store serves version ${live.version} under epoch ${live.epoch}`;
}

/**
 * Whether nothing depends on an unknown credential of ours. While its identity is active that needs a settled current
 * credential that is there: after a restore, the unknown one may be what consumers use.
 */
export function mayDestroyUnknown(identity: KnownIdentity | undefined, present: ReadonlySet<number>): boolean {
  if (identity === undefined || ['revoking', 'revoked', 'rejected'].includes(identity.state)) return true;
  const current = identity.credentials.find(({ state }) => state === 'current');
  const isSettled = !identity.isMoving && !identity.credentials.some(({ state }) => state === 'retiring');
  return (
    identity.state === 'active' &&
    isSettled &&
    current !== undefined &&
    current.promotedEpoch === identity.epoch &&
    present.has(current.version)
  );
}

/**
 * Whether an active identity of a restored ledger looks as if it had been revoked, or rolled back, since: its store has
 * a later tombstone, or its current credential is gone and nothing newer took its place. A person must look first.
 */
export function looksRevoked(
  identity: KnownIdentity,
  { listed, live }: { listed?: ReadonlySet<number>; live?: Held['live'] },
): boolean {
  if (identity.state !== 'active') return false;
  if (typeof live === 'object' && live.version === null && live.epoch > identity.epoch) return true;
  const current = identity.credentials.find(({ state }) => state === 'current');
  if (listed === undefined || current === undefined || listed.has(current.version)) return false;
  return ![...listed].some((version) => version > current.version);
}
