import { createHash } from 'node:crypto';

/** A complete subtree: it covers the leaves from `index * 2^level` up to, not including, `(index + 1) * 2^level`. */
export interface NodeId {
  readonly level: number;
  readonly index: number;
}
export interface TreeNode extends NodeId {
  readonly hash: Buffer;
}
/** Leaves from `start` up to, not including, `end`. */
export interface LeafRange {
  readonly start: number;
  readonly end: number;
}

const leafPrefix = Buffer.of(0x00);
const nodePrefix = Buffer.of(0x01);

/** RFC 6962 §2.1: SHA-256(0x00 || leaf). Text counts as UTF-8. */
export function leafHash(leaf: Uint8Array | string): Buffer {
  return createHash('sha256').update(leafPrefix).update(leaf).digest();
}

/** RFC 6962 §2.1: SHA-256(0x01 || left || right). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  return createHash('sha256').update(nodePrefix).update(left).update(right).digest();
}

/**
 * The complete subtrees that together cover `range`, left to right. `range.start` must be a multiple of the largest power
 * of two that fits the range, as every range of an RFC 6962 proof is; then they shrink from left to right.
 */
export function subtreesOf({ start, end }: LeafRange): NodeId[] {
  const subtrees: NodeId[] = [];
  // Arithmetic, not bit operators: those stop at 32 bits, and logs need not.
  for (let next = start; next < end; ) {
    let level = 0;
    while (next % 2 ** (level + 1) === 0 && next + 2 ** (level + 1) <= end) level++;
    subtrees.push({ level, index: next / 2 ** level });
    next += 2 ** level;
  }
  return subtrees;
}

/** The RFC 6962 hash over adjacent subtrees given left to right, largest first; SHA-256 of nothing when there are none. */
export function foldSubtrees(hashes: readonly Buffer[]): Buffer {
  const last = hashes.at(-1);
  if (last === undefined) return createHash('sha256').digest();
  return hashes.slice(0, -1).reduceRight((right, left) => nodeHash(left, right), last);
}

/** A tree that grows by one leaf at a time and remembers only the subtrees on its right edge (log₂ size of them). */
export class GrowingTree {
  #size: number;
  readonly #edge: Buffer[];

  /** @param edge hashes of `subtreesOf({ start: 0, end: size })`, in that order */
  constructor(size = 0, edge: readonly Buffer[] = []) {
    const expected = subtreesOf({ start: 0, end: size }).length;
    if (edge.length !== expected)
      throw new RangeError(`A tree of ${size} leaves has ${expected} subtrees on its edge, not ${edge.length}.`);
    this.#size = size;
    this.#edge = [...edge];
  }

  get size(): number {
    return this.#size;
  }

  get root(): Buffer {
    return foldSubtrees(this.#edge);
  }

  /** Adds one leaf by its hash. Returns the subtrees that became complete: the leaf itself and what it closed above. */
  append(leaf: Buffer): TreeNode[] {
    let node: TreeNode = { level: 0, index: this.#size, hash: leaf };
    const completed = [node];
    while (node.index % 2 === 1) {
      const left = this.#edge.pop();
      if (left === undefined) throw new RangeError(`The edge of a tree of ${this.#size} leaves is incomplete.`);
      node = { level: node.level + 1, index: (node.index - 1) / 2, hash: nodeHash(left, node.hash) };
      completed.push(node);
    }
    this.#edge.push(node.hash);
    this.#size++;
    return completed;
  }
}
