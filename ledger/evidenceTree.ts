import {
  foldSubtrees,
  GrowingTree,
  type LeafRange,
  type NodeId,
  subtreesOf,
  type TreeNode,
} from '../domain/evidence/merkleTree.ts';
import type { Statements } from './statements.ts';

/** The tree in the ledger lacks a subtree that its size says it has: rows were removed. Nothing was written. */
export class EvidenceTreeBroken extends Error {
  override readonly name = 'EvidenceTreeBroken';
  constructor({ level, index }: NodeId) {
    super(
      `The evidence tree lacks its subtree ${index} of level ${level}: rows of evidence_node were removed. ` +
        'Restore the database from before, or verify an export against a checkpoint you hold.',
    );
  }
}

/** How many entries have a leaf index. Indexes are given without gaps, so the highest one tells. */
export async function treeSize(tx: Statements): Promise<number> {
  // Not by Prisma, whose aggregate reads every entry instead of the end of the index.
  const [row] = await tx.$queryRaw<{ last: bigint | null }[]>`SELECT max("leafIndex") AS "last" FROM "evidence_entry"`;
  return sizeUpTo(row?.last ?? null);
}

/** @param last the highest leaf index; null where none is given */
export function sizeUpTo(last: bigint | null): number {
  return last === null ? 0 : Number(last) + 1;
}

/** The RFC 6962 hash of each range, from stored subtrees, in one query. @throws EvidenceTreeBroken */
export async function rangeHashes(tx: Statements, ranges: readonly LeafRange[]): Promise<Buffer[]> {
  const covers = ranges.map(subtreesOf);
  const hashes = await subtreeHashes(tx, covers.flat());
  let next = 0;
  return covers.map((cover) => {
    const start = next;
    next += cover.length;
    return foldSubtrees(hashes.slice(start, next));
  });
}

/** The root of the tree of the first `size` leaves. @throws EvidenceTreeBroken */
export async function rootAt(tx: Statements, size: number): Promise<Buffer> {
  return foldSubtrees(await subtreeHashes(tx, subtreesOf({ start: 0, end: size })));
}

/** The tree of the first `size` leaves, ready to grow. @throws EvidenceTreeBroken */
export async function growingTreeAt(tx: Statements, size: number): Promise<GrowingTree> {
  return new GrowingTree(size, await subtreeHashes(tx, subtreesOf({ start: 0, end: size })));
}

/** Adds complete subtrees; a place that is taken already fails the transaction (primary key). */
export async function storeNodes(tx: Statements, nodes: readonly TreeNode[]): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO "evidence_node" ("level", "index", "hash")
    SELECT "level", "index", decode("hash", 'hex') FROM unnest(
      ${nodes.map(({ level }) => level)}::integer[],
      ${nodes.map(({ index }) => BigInt(index))}::bigint[],
      ${nodes.map(({ hash }) => hash.toString('hex'))}::text[]
    ) AS node("level", "index", "hash")`;
}

async function subtreeHashes(tx: Statements, ids: readonly NodeId[]): Promise<Buffer[]> {
  if (ids.length === 0) return [];
  const rows = await tx.$queryRaw<{ level: number; index: bigint; hash: Uint8Array }[]>`
    SELECT "level", "index", "hash" FROM "evidence_node"
    JOIN unnest(${ids.map(({ level }) => level)}::integer[], ${ids.map(({ index }) => BigInt(index))}::bigint[])
      AS wanted("level", "index") USING ("level", "index")`;
  const stored = new Map(rows.map(({ level, index, hash }) => [`${level}/${index}`, Buffer.from(hash)]));
  return ids.map((id) => {
    const hash = stored.get(`${id.level}/${id.index}`);
    if (hash === undefined) throw new EvidenceTreeBroken(id);
    return hash;
  });
}
