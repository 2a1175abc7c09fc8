import { foldSubtrees, type LeafRange, nodeHash } from './merkleTree.ts';

/** A proof was asked for that no tree has: the numbers are outside of it. */
export class ProofOutOfRange extends Error {
  override readonly name = 'ProofOutOfRange';
}

/**
 * The ranges whose hashes are the inclusion proof of leaf `index` in the tree of `size` leaves, from the leaf's sibling
 * up to the root's child (RFC 6962 §2.1.1).
 * @throws ProofOutOfRange unless 0 <= index < size
 */
export function inclusionRanges(index: number, size: number): LeafRange[] {
  requireCount(index, 'index');
  requireCount(size, 'size');
  if (index >= size)
    throw new ProofOutOfRange(`There is no leaf ${index} in a tree of ${size} leaves; the last one is ${size - 1}.`);
  const ranges: LeafRange[] = [];
  for (let start = 0, end = size; end - start > 1; ) {
    const middle = start + largestPowerBelow(end - start);
    if (index < middle) {
      ranges.unshift({ start: middle, end });
      end = middle;
    } else {
      ranges.unshift({ start, end: middle });
      start = middle;
    }
  }
  return ranges;
}

/**
 * The ranges whose hashes prove that the tree of `to` leaves begins with the tree of `from` leaves (RFC 6962 §2.1.2).
 * @throws ProofOutOfRange unless 1 <= from <= to
 */
export function consistencyRanges(from: number, to: number): LeafRange[] {
  requireCount(from, 'from');
  requireCount(to, 'to');
  if (from < 1 || from > to)
    throw new ProofOutOfRange(`Consistency is proved from size 1..${to} to size ${to}, not from ${from}.`);
  const ranges: LeafRange[] = [];
  let start = 0;
  let end = to;
  while (end !== from) {
    const middle = start + largestPowerBelow(end - start);
    if (from <= middle) {
      ranges.unshift({ start: middle, end });
      end = middle;
    } else {
      ranges.unshift({ start, end: middle });
      start = middle;
    }
  }
  // A whole old tree on the left edge is known to the verifier already.
  return start === 0 ? ranges : [{ start, end }, ...ranges];
}

/** Whether `proof` leads from the leaf to the root (RFC 9162 §2.1.3.2; the proofs are those of RFC 6962). */
export function inclusionHolds(claim: {
  readonly leaf: Uint8Array;
  readonly index: number;
  readonly size: number;
  readonly proof: readonly Uint8Array[];
  readonly root: Uint8Array;
}): boolean {
  if (!isCount(claim.index) || !isCount(claim.size) || claim.index >= claim.size) return false;
  let position = claim.index;
  let last = claim.size - 1;
  let hash: Uint8Array = claim.leaf;
  for (const sibling of claim.proof) {
    if (last === 0) return false;
    if (position % 2 === 1 || position === last) {
      hash = nodeHash(sibling, hash);
      while (position % 2 === 0 && position !== 0) [position, last] = [half(position), half(last)];
    } else {
      hash = nodeHash(hash, sibling);
    }
    [position, last] = [half(position), half(last)];
  }
  return last === 0 && sameBytes(hash, claim.root);
}

/** Whether `proof` shows that the newer tree begins with the older one (RFC 9162 §2.1.4.2). Every tree begins with the empty one. */
export function consistencyHolds(claim: {
  readonly from: number;
  readonly fromRoot: Uint8Array;
  readonly to: number;
  readonly toRoot: Uint8Array;
  readonly proof: readonly Uint8Array[];
}): boolean {
  const { from, to, fromRoot, toRoot } = claim;
  if (!isCount(from) || !isCount(to) || from > to) return false;
  if (from === 0) return claim.proof.length === 0 && sameBytes(fromRoot, foldSubtrees([]));
  if (from === to) return claim.proof.length === 0 && sameBytes(fromRoot, toRoot);
  const path = isPowerOfTwo(from) ? [fromRoot, ...claim.proof] : claim.proof;
  const [first, ...rest] = path;
  if (first === undefined) return false;
  let position = from - 1;
  let last = to - 1;
  while (position % 2 === 1) [position, last] = [half(position), half(last)];
  let older = first;
  let newer = first;
  for (const sibling of rest) {
    if (last === 0) return false;
    if (position % 2 === 1 || position === last) {
      older = nodeHash(sibling, older);
      newer = nodeHash(sibling, newer);
      while (position % 2 === 0 && position !== 0) [position, last] = [half(position), half(last)];
    } else {
      newer = nodeHash(newer, sibling);
    }
    [position, last] = [half(position), half(last)];
  }
  return last === 0 && sameBytes(older, fromRoot) && sameBytes(newer, toRoot);
}

function requireCount(value: number, name: string): void {
  if (!isCount(value)) throw new ProofOutOfRange(`${name} is ${value}; it must be a whole number from 0 to 2^53 - 1.`);
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/** The largest power of two smaller than `count`, which is at least 2. */
function largestPowerBelow(count: number): number {
  let power = 1;
  while (power * 2 < count) power *= 2;
  return power;
}

function isPowerOfTwo(count: number): boolean {
  return largestPowerBelow(count + 1) === count;
}

function half(count: number): number {
  return Math.floor(count / 2);
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}
