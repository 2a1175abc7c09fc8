import { signChainHead } from '../domain/evidence/chainHead.ts';
import { inclusionRanges } from '../domain/evidence/merkleProofs.ts';
import type { Prisma } from '../prisma/generated/client.ts';
import { decisionKeyKind } from './decisionKeyEntries.ts';
import { type EvidenceKeys, requestChain } from './evidence.ts';
import { openOwnCheckpoint } from './evidenceLogs.ts';
import { latestCheckpoint, type SealedEntry, type StoredCheckpoint } from './evidenceReads.ts';
import { rangeHashes } from './evidenceTree.ts';

export type ProvenEntry = SealedEntry & { readonly proof: readonly Buffer[] };

export interface RequestBundle {
  readonly checkpoint: StoredCheckpoint;
  /** The signed note that says how much there is of the request under this checkpoint. */
  readonly head: string;
  /** The log's decision keys, so that decisions are verified by the bundle alone. */
  readonly keys: readonly ProvenEntry[];
  /** Everything about the request that the checkpoint covers, each with its proof: one page of it. */
  readonly entries: readonly ProvenEntry[];
  /** Entries of the request that are committed but not under this checkpoint: ask again within a second. */
  readonly unsealed: number;
  /** The leaf index behind which the next page begins; undefined when there is none. */
  readonly next: number | undefined;
}

export interface BundleAsked {
  readonly requestId: string;
  readonly limit: number;
  /** Where the page before ended, and the size of the checkpoint that it was under. */
  readonly page?: { readonly after: number; readonly size: number };
}

/**
 * The evidence of one request, with what proves it offline, a page at a time; every page is under the checkpoint of the first.
 * @returns undefined while nothing was ever sealed, or when there is no checkpoint of the size that was asked for
 */
export async function requestBundle(
  ledger: Prisma.TransactionClient,
  keys: EvidenceKeys,
  { requestId, limit, page }: BundleAsked,
): Promise<RequestBundle | undefined> {
  // First the checkpoint: what it covers never changes after, so no transaction is needed.
  const checkpoint = await latestCheckpoint(ledger, page?.size);
  if (checkpoint === undefined) return undefined;
  const { size } = checkpoint;
  const chain = requestChain(requestId);
  const covered = { lt: size };
  const [entries, others, all, named, rows] = await Promise.all([
    ledger.evidenceEntry.count({ where: { chain, leafIndex: covered } }),
    ledger.evidenceEntry.count({ where: { requestId, NOT: { chain }, leafIndex: covered } }),
    ledger.evidenceEntry.count({ where: { requestId } }),
    ledger.evidenceEntry.findMany({
      where: { chain: 'installation', leafIndex: covered, body: { contains: `"kind":"${decisionKeyKind}"` } },
      orderBy: { leafIndex: 'asc' },
      select: { leafIndex: true, body: true },
    }),
    ledger.evidenceEntry.findMany({
      where: { OR: [{ chain }, { requestId }], leafIndex: { ...covered, gt: page?.after ?? -1 } },
      orderBy: { leafIndex: 'asc' },
      select: { leafIndex: true, body: true },
      take: limit + 1,
    }),
  ]);
  const told = rows.slice(0, limit);
  const proven = await provenUnder(ledger, [...named, ...told], size);
  const { origin, root } = openOwnCheckpoint(keys, checkpoint.note);
  return {
    checkpoint,
    head: signChainHead({ origin, chain, entries, others, size, root }, keys.signingKey),
    keys: proven.slice(0, named.length),
    entries: proven.slice(named.length),
    unsealed: all - entries - others,
    next: rows.length > limit ? Number(told.at(-1)?.leafIndex) : undefined,
  };
}

async function provenUnder(
  ledger: Prisma.TransactionClient,
  rows: readonly { readonly leafIndex: bigint | null; readonly body: string }[],
  size: number,
): Promise<ProvenEntry[]> {
  const paths = rows.map(({ leafIndex }) => inclusionRanges(Number(leafIndex), size));
  const hashes = await rangeHashes(ledger, paths.flat());
  let next = 0;
  return rows.map(({ leafIndex, body }, place) => {
    const start = next;
    next += paths[place]?.length ?? 0;
    return { leafIndex: Number(leafIndex), body, proof: hashes.slice(start, next) };
  });
}
