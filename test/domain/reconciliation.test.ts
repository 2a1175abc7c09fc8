import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type Held,
  issuerDifferences,
  type KnownCredential,
  type KnownIdentity,
  looksRevoked,
  mayDestroyUnknown,
  storeDifferences,
} from '../../domain/reconciliation.ts';
import { credentialStates, identityStates } from '../../domain/states.ts';

const credential = (version: number, state: KnownCredential['state'], promotedEpoch?: number): KnownCredential => ({
  version,
  state,
  promotedEpoch,
});

function identity(change: Partial<KnownIdentity> = {}): KnownIdentity {
  const credentials = [credential(1, 'destroyed', 1), credential(2, 'current', 2)];
  return { id: 'id', state: 'active', epoch: 2, store: 'sealed', isMoving: false, credentials, ...change };
}

const ours = (...versions: number[]) => versions.map((version) => ({ version, isOurs: true }));
const kinds = (differences: readonly { kind: string; version?: number }[]) =>
  differences.map(({ kind, version }) => (version === undefined ? kind : `${kind} v${version}`));
const atIssuer = (listed: Parameters<typeof issuerDifferences>[1], known: KnownIdentity | undefined) =>
  kinds(issuerDifferences('id', listed, known));
const inStore = (held: Partial<Held>, known: KnownIdentity | undefined) =>
  kinds(storeDifferences('id', { live: { epoch: 2, version: 2 }, staged: [], ...held }, known));

test('an issuer that has what the ledger says has no difference', () => {
  expect(atIssuer(ours(2), identity())).toEqual([]);
});

test('what only one side knows is unknown, missing, returned or foreign', () => {
  expect(atIssuer(ours(2, 3), identity())).toEqual(['unknown v3']);
  expect(atIssuer(ours(), identity())).toEqual(['missing v2']);
  expect(atIssuer(ours(1, 2), identity())).toEqual(['returned v1']);
  expect(atIssuer(ours(1), undefined)).toEqual(['unknown v1']);
  expect(atIssuer([...ours(2), { version: 3, isOurs: false }], identity())).toEqual(['foreign v3']);
});

test('a role that lost its tag is missing, and foreign to us', () => {
  expect(atIssuer([{ version: 2, isOurs: false }], identity())).toEqual(['foreign v2', 'missing v2']);
});

test("another installation's credentials of the same form are nobody's finding", () => {
  expect(atIssuer([{ version: 1, isOurs: false }], undefined)).toEqual([]);
});

test('what is on its way at an issuer is no difference, there or not yet', () => {
  for (const state of ['minting', 'staged', 'destroying'] as const) {
    const known = identity({ credentials: [credential(2, 'current', 2), credential(3, state)] });
    expect(atIssuer(ours(2), known)).toEqual([]);
    expect(atIssuer(ours(2, 3), known)).toEqual([]);
  }
});

test('a store that serves less than was recorded is behind, and one that serves more is ahead', () => {
  expect(inStore({}, identity())).toEqual([]);
  expect(inStore({ live: undefined }, identity())).toEqual(['behind']);
  expect(inStore({ live: 'unreadable' }, identity())).toEqual(['behind']);
  expect(inStore({ live: { epoch: 1, version: 1 } }, identity())).toEqual(['behind']);
  expect(inStore({ live: { epoch: 3, version: 3 } }, identity())).toEqual(['ahead']);
  expect(inStore({ live: { epoch: 2, version: 1 } }, identity())).toEqual(['ahead']);
  expect(inStore({ live: { epoch: 2, version: null } }, identity())).toEqual(['ahead']);
});

test('what an open request is about to write is not behind', () => {
  const moving = identity({ epoch: 3, isMoving: true });
  expect(inStore({}, moving)).toEqual([]);
  expect(inStore({ live: { epoch: 4, version: 2 } }, moving)).toEqual(['ahead']);
});

test('a revoked identity has a tombstone, and nothing else', () => {
  const revoked = identity({ state: 'revoked', epoch: 3, credentials: [credential(2, 'destroyed', 2)] });
  expect(inStore({ live: { epoch: 3, version: null } }, revoked)).toEqual([]);
  for (const live of [undefined, 'unreadable', { epoch: 2, version: 2 }, { epoch: 9, version: 2 }] as const) {
    expect(inStore({ live }, revoked)).toEqual(['tombstone-missing']);
  }
});

test('only the staged value of a destroyed version is left over', () => {
  expect(inStore({ staged: [1, 2, 3] }, identity())).toEqual(['staged-left v1']);
});

test('a path of no identity of ours is reported', () => {
  expect(inStore({}, undefined)).toEqual(['unknown']);
  expect(inStore({ live: undefined }, undefined)).toEqual([]);
});

test('an unknown credential is destroyed only where nothing active may depend on it', () => {
  expect(mayDestroyUnknown(undefined, new Set([1]))).toBe(true);
  expect(mayDestroyUnknown(identity(), new Set([2, 3]))).toBe(true);
  // What the ledger calls current is not there: the unknown one may be what consumers use.
  expect(mayDestroyUnknown(identity(), new Set([3]))).toBe(false);
  expect(mayDestroyUnknown(identity({ isMoving: true }), new Set([2, 3]))).toBe(false);
  expect(mayDestroyUnknown(identity({ epoch: 3 }), new Set([2, 3]))).toBe(false);
  expect(mayDestroyUnknown(identity({ state: 'requested', credentials: [] }), new Set([1]))).toBe(false);
  for (const state of ['revoking', 'revoked', 'rejected'] as const)
    expect(mayDestroyUnknown(identity({ state }), new Set([3]))).toBe(true);
});

test('an active identity looks revoked by a later tombstone, or when nothing took the place of its credential', () => {
  expect(looksRevoked(identity(), { live: { epoch: 3, version: null } })).toBe(true);
  expect(looksRevoked(identity(), { live: { epoch: 3, version: 3 } })).toBe(false);
  expect(looksRevoked(identity(), { listed: new Set() })).toBe(true);
  expect(looksRevoked(identity(), { listed: new Set([1]) })).toBe(true);
  expect(looksRevoked(identity(), { listed: new Set([3]) })).toBe(false);
  expect(looksRevoked(identity(), { listed: new Set([2]) })).toBe(false);
  expect(looksRevoked(identity({ state: 'revoked' }), { listed: new Set() })).toBe(false);
});

const anyCredential = fc.record({
  version: fc.integer({ min: 1, max: 6 }),
  state: fc.constantFrom(...credentialStates),
  promotedEpoch: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
});
const anyIdentity = fc.record({
  id: fc.constant('id'),
  state: fc.constantFrom(...identityStates),
  epoch: fc.integer({ min: 0, max: 5 }),
  store: fc.constant('sealed'),
  isMoving: fc.boolean(),
  credentials: fc.uniqueArray(anyCredential, { selector: ({ version }) => version }),
});
const anyListed = fc.array(fc.record({ version: fc.integer({ min: 1, max: 8 }), isOurs: fc.boolean() }));

test('whatever is there, a credential that the ledger holds live is never called unknown or returned', () => {
  fc.assert(
    fc.property(anyIdentity, anyListed, (known, listed) => {
      const live = known.credentials.filter(({ state }) => state !== 'destroyed').map(({ version }) => version);
      for (const { kind, version } of issuerDifferences('id', listed, known))
        if (kind === 'unknown' || kind === 'returned') expect(live).not.toContain(version);
    }),
  );
});

test('whatever is there, what does not carry our tag is never called anything but foreign', () => {
  fc.assert(
    fc.property(fc.option(anyIdentity, { nil: undefined }), anyListed, (known, listed) => {
      const foreignOnly = listed.filter(({ isOurs }) => !isOurs);
      const found = issuerDifferences('id', foreignOnly, known).filter(({ kind }) => kind !== 'missing');
      expect(found.every(({ kind }) => kind === 'foreign')).toBe(true);
    }),
  );
});
