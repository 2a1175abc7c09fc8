import { consistencyRanges, inclusionRanges, ProofOutOfRange } from '../domain/evidence/merkleProofs.ts';
import type { Prisma } from '../prisma/generated/client.ts';
import { rangeHashes, treeSize } from './evidenceTree.ts';

/** One sealed entry: its place in the log, and the exact text of the leaf. */
export interface SealedEntry {
  readonly leafIndex: number;
  readonly body: string;
}

export interface EvidencePageQuery {
  /** The leaf index that the page begins behind; absent: from the beginning. */
  readonly after?: number;
  readonly limit: number;
  readonly requestId?: string;
  readonly identityId?: string;
}

/**
 * Sealed entries in the order of the log. Stable under growth: sealed entries never move, so the same query always gives
 * the same page, and a page that was the last one only ever gets longer.
 * @returns `next`: what to pass as `after` for the next page; undefined when there is none yet
 */
export async function listEvidence(
  ledger: Prisma.TransactionClient,
  { after, limit, requestId, identityId }: EvidencePageQuery,
): Promise<{ items: SealedEntry[]; next: number | undefined }> {
  const rows = await ledger.evidenceEntry.findMany({
    where: {
      leafIndex: { gt: after ?? -1 },
      ...(requestId === undefined ? {} : { requestId }),
      ...(identityId === undefined ? {} : { identityId }),
    },
    orderBy: { leafIndex: 'asc' },
    select: { leafIndex: true, body: true },
    take: limit + 1,
  });
  const items = rows.slice(0, limit).map(({ leafIndex, body }) => ({ leafIndex: Number(leafIndex), body }));
  return { items, next: rows.length > limit ? items.at(-1)?.leafIndex : undefined };
}

export interface StoredCheckpoint {
  readonly size: number;
  /** The signed note (C2SP tlog-checkpoint). */
  readonly note: string;
}

/** The newest signed checkpoint; undefined while nothing was ever sealed. @param size the one of this size instead */
export async function latestCheckpoint(
  ledger: Prisma.TransactionClient,
  size?: number,
): Promise<StoredCheckpoint | undefined> {
  const row = await ledger.evidenceCheckpoint.findFirst({
    ...(size === undefined ? {} : { where: { size } }),
    orderBy: { size: 'desc' },
  });
  return row === null ? undefined : { size: Number(row.size), note: row.note };
}

/**
 * That leaf `index` is in the tree of `size` leaves: RFC 6962 hashes from the leaf's sibling up to the root's child.
 * @throws ProofOutOfRange when the log is not that long
 */
export async function inclusionProof(
  ledger: Prisma.TransactionClient,
  index: number,
  size: number,
): Promise<readonly Buffer[]> {
  const ranges = inclusionRanges(index, size);
  await requireSealed(ledger, size);
  return rangeHashes(ledger, ranges);
}

/**
 * That the log at size `to` begins with the log at size `from` (RFC 6962 §2.1.2).
 * @throws ProofOutOfRange when the log is not that long, or `from` is not within 1..to
 */
export async function consistencyProof(
  ledger: Prisma.TransactionClient,
  from: number,
  to: number,
): Promise<readonly Buffer[]> {
  const ranges = consistencyRanges(from, to);
  await requireSealed(ledger, to);
  return rangeHashes(ledger, ranges);
}

async function requireSealed(ledger: Prisma.TransactionClient, size: number): Promise<void> {
  const sealed = await treeSize(ledger);
  if (size > sealed)
    throw new ProofOutOfRange(`The log has ${sealed} sealed entries; size ${size} is not reached yet.`);
}
