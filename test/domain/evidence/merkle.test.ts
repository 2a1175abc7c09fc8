import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  consistencyHolds,
  consistencyRanges,
  inclusionHolds,
  inclusionRanges,
  ProofOutOfRange,
} from '../../../domain/evidence/merkleProofs.ts';
import {
  foldSubtrees,
  GrowingTree,
  type LeafRange,
  leafHash,
  nodeHash,
  subtreesOf,
} from '../../../domain/evidence/merkleTree.ts';

/** The leaves and roots that Certificate Transparency's own tests use for RFC 6962 trees. */
const knownLeaves = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
];
const knownRoots = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

test('the roots of the RFC 6962 test tree come out at every size', () => {
  const tree = new GrowingTree();
  expect(tree.root.toString('hex')).toBe(knownRoots[0]);
  for (const [place, leaf] of knownLeaves.entries()) {
    tree.append(leafHash(Buffer.from(leaf, 'hex')));
    expect(tree.root.toString('hex')).toBe(knownRoots[place + 1]);
  }
});

const leaves = fc.array(
  fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes)),
  { minLength: 1, maxLength: 70 },
);

test('a tree that grows leaf by leaf has the root that RFC 6962 defines, also when resumed from stored subtrees', () => {
  fc.assert(
    fc.property(leaves, fc.nat(), (entries, seed) => {
      const { nodes, tree } = grow(entries);
      expect(tree.root).toEqual(definedHash(entries));
      const size = seed % (entries.length + 1);
      const resumed = new GrowingTree(
        size,
        subtreesOf({ start: 0, end: size }).map((id) => stored(nodes, id.level, id.index)),
      );
      for (const entry of entries.slice(size)) resumed.append(leafHash(entry));
      expect(resumed.root).toEqual(tree.root);
    }),
  );
});

test('every leaf is proved to be in the tree, and nothing else is', () => {
  fc.assert(
    fc.property(leaves, fc.nat(), fc.nat(), (entries, seed, other) => {
      const { nodes, tree } = grow(entries);
      const index = seed % entries.length;
      const claim = {
        leaf: leafHash(entries[index] ?? ''),
        index,
        size: entries.length,
        proof: inclusionRanges(index, entries.length).map((range) => rangeHash(nodes, range)),
        root: tree.root,
      };
      expect(inclusionHolds(claim)).toBe(true);
      expect(inclusionHolds({ ...claim, leaf: leafHash('another entry') })).toBe(false);
      expect(inclusionHolds({ ...claim, root: leafHash('another root') })).toBe(false);
      expect(inclusionHolds({ ...claim, proof: [...claim.proof, tree.root] })).toBe(false);
      expect(inclusionHolds({ ...claim, index: entries.length })).toBe(false);
      if (claim.proof.length === 0) return;
      const place = other % claim.proof.length;
      expect(inclusionHolds({ ...claim, proof: claim.proof.toSpliced(place, 1) })).toBe(false);
      expect(inclusionHolds({ ...claim, proof: claim.proof.with(place, leafHash('forged')) })).toBe(false);
    }),
  );
});

test('an older tree is proved to be the beginning of the newer one, and a rewritten one is not', () => {
  fc.assert(
    fc.property(leaves, fc.nat(), fc.nat(), (entries, seed, other) => {
      const { nodes, tree } = grow(entries);
      const from = 1 + (seed % entries.length);
      const claim = {
        from,
        fromRoot: definedHash(entries.slice(0, from)),
        to: entries.length,
        toRoot: tree.root,
        proof: consistencyRanges(from, entries.length).map((range) => rangeHash(nodes, range)),
      };
      expect(consistencyHolds(claim)).toBe(true);
      const rewritten = entries.with(other % from, Buffer.from('rewritten'));
      expect(consistencyHolds({ ...claim, fromRoot: definedHash(rewritten.slice(0, from)) })).toBe(false);
      expect(consistencyHolds({ ...claim, toRoot: definedHash(rewritten) })).toBe(false);
      expect(consistencyHolds({ ...claim, proof: [...claim.proof, tree.root] })).toBe(false);
      if (claim.proof.length === 0) return;
      const place = other % claim.proof.length;
      expect(consistencyHolds({ ...claim, proof: claim.proof.toSpliced(place, 1) })).toBe(false);
      expect(consistencyHolds({ ...claim, proof: claim.proof.with(place, leafHash('forged')) })).toBe(false);
    }),
  );
});

test('every tree begins with the empty one, and only with the true empty root', () => {
  const claim = { from: 0, fromRoot: foldSubtrees([]), to: 3, toRoot: leafHash('x'), proof: [] };
  expect(consistencyHolds(claim)).toBe(true);
  expect(consistencyHolds({ ...claim, fromRoot: leafHash('x') })).toBe(false);
});

test('subtrees cover a range once, without gaps, each at its place', () => {
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 40 }), (end) => {
      let next = 0;
      for (const { level, index } of subtreesOf({ start: 0, end })) {
        expect(index * 2 ** level).toBe(next);
        next += 2 ** level;
      }
      expect(next).toBe(end);
    }),
  );
});

test('proofs of what no tree has are refused by name', () => {
  for (const [index, size] of [
    [3, 3],
    [-1, 3],
    [0.5, 3],
    [0, 0],
    [0, 2 ** 53],
  ] as const) {
    expect(() => inclusionRanges(index, size)).toThrow(ProofOutOfRange);
  }
  for (const [from, to] of [
    [0, 3],
    [4, 3],
    [1, Number.NaN],
  ] as const) {
    expect(() => consistencyRanges(from, to)).toThrow(ProofOutOfRange);
  }
});

/** MTH of RFC 6962 section 2.1, word for word. */
function definedHash(entries: readonly Uint8Array[]): Buffer {
  if (entries.length === 0) return createHash('sha256').digest();
  if (entries.length === 1) return leafHash(entries[0] ?? '');
  const middle = 2 ** Math.floor(Math.log2(entries.length - 1));
  return nodeHash(definedHash(entries.slice(0, middle)), definedHash(entries.slice(middle)));
}

function grow(entries: readonly Uint8Array[]): { tree: GrowingTree; nodes: Map<string, Buffer> } {
  const tree = new GrowingTree();
  const nodes = new Map<string, Buffer>();
  for (const entry of entries) {
    for (const { level, index, hash } of tree.append(leafHash(entry))) nodes.set(`${level}/${index}`, hash);
  }
  return { tree, nodes };
}

function stored(nodes: ReadonlyMap<string, Buffer>, level: number, index: number): Buffer {
  const hash = nodes.get(`${level}/${index}`);
  if (hash === undefined) throw new Error(`subtree ${level}/${index} was never completed`);
  return hash;
}

function rangeHash(nodes: ReadonlyMap<string, Buffer>, range: LeafRange): Buffer {
  return foldSubtrees(subtreesOf(range).map(({ level, index }) => stored(nodes, level, index)));
}
