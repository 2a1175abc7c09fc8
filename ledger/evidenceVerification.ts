import type { Checkpoint } from '../domain/evidence/checkpoint.ts';
import { evidenceEntrySchema } from '../domain/evidence/entry.ts';
import { chainStart, macHolds } from '../domain/evidence/macChain.ts';
import { GrowingTree, leafHash } from '../domain/evidence/merkleTree.ts';
import { NoteInvalid } from '../domain/evidence/signedNote.ts';
import type { EvidenceEntry, Prisma } from '../prisma/generated/client.ts';
import type { EvidenceKeys } from './evidence.ts';
import { openOwnCheckpoint } from './evidenceLogs.ts';
import { latestCheckpoint } from './evidenceReads.ts';

export type EvidenceVerification =
  | { readonly ok: true; readonly entries: number; readonly chains: number; readonly sealed: number }
  | {
      readonly ok: false;
      /** What is broken first, in words: the chain and position, or the leaf. */
      readonly broken: string;
    };

const pageSize = 1000;

/**
 * Recomputes what the keys can prove about the database itself: every MAC chain from its start, that the columns say what
 * the signed text says, every leaf hash, and the root of the newest checkpoint. Reads all entries, a page at a time;
 * safe while the ledger is in use.
 */
export async function verifyChains(
  ledger: Prisma.TransactionClient,
  keys: EvidenceKeys,
): Promise<EvidenceVerification> {
  const chained = await verifyMacs(ledger, keys);
  if ('broken' in chained) return { ok: false, broken: chained.broken };
  const sealed = await verifyLeaves(ledger, keys);
  if ('broken' in sealed) return { ok: false, broken: sealed.broken };
  return { ok: true, ...chained, ...sealed };
}

async function verifyMacs(
  ledger: Prisma.TransactionClient,
  keys: EvidenceKeys,
): Promise<{ entries: number; chains: number } | { broken: string }> {
  let entries = 0;
  let chains = 0;
  let last: EvidenceEntry | undefined;
  while (true) {
    const page = await pageOfChains(ledger, last);
    for (const entry of page) {
      const isNewChain = entry.chain !== last?.chain;
      const position = isNewChain ? 0 : (last?.position ?? -1) + 1;
      const where = `chain ${entry.chain}, position ${entry.position} (entry ${entry.id})`;
      if (entry.position !== position) return { broken: `${where}: position ${position} is missing before it` };
      const previous = isNewChain || last === undefined ? chainStart : last.mac;
      if (!macHolds(keys.macKey, previous, entry.body, entry.mac)) {
        return { broken: `${where}: its MAC does not fit; it was changed after it was appended` };
      }
      const column = differingColumn(entry, keys.origin);
      if (column !== undefined) return { broken: `${where}: its ${column} is not what its signed text says` };
      if (isNewChain) chains++;
      entries++;
      last = entry;
    }
    if (page.length < pageSize) return { entries, chains };
  }
}

/** The columns are for finding entries; a changed one would hide an entry from its request. */
function differingColumn(row: EvidenceEntry, origin: string): string | undefined {
  const entry = evidenceEntrySchema.parse(JSON.parse(row.body));
  if (entry.installation !== origin) return 'installation';
  if (entry.chain !== row.chain) return 'chain';
  if (entry.position !== row.position) return 'position';
  if ((entry.requestId ?? null) !== row.requestId) return 'requestId';
  if ((entry.identityId ?? null) !== row.identityId) return 'identityId';
  return undefined;
}

/** Behind the last entry seen: PostgreSQL compares and orders under the one collation of the column. */
async function pageOfChains(
  ledger: Prisma.TransactionClient,
  last: EvidenceEntry | undefined,
): Promise<EvidenceEntry[]> {
  return ledger.evidenceEntry.findMany({
    orderBy: [{ chain: 'asc' }, { position: 'asc' }],
    take: pageSize,
    ...(last === undefined
      ? {}
      : { where: { OR: [{ chain: { gt: last.chain } }, { chain: last.chain, position: { gt: last.position } }] } }),
  });
}

async function verifyLeaves(
  ledger: Prisma.TransactionClient,
  keys: EvidenceKeys,
): Promise<{ sealed: number } | { broken: string }> {
  const newest = await latestCheckpoint(ledger);
  if (newest === undefined) return { sealed: 0 };
  let signed: Checkpoint;
  try {
    signed = openOwnCheckpoint(keys, newest.note);
  } catch (error) {
    if (error instanceof NoteInvalid) return { broken: `the checkpoint of size ${newest.size}: ${error.message}` };
    throw error;
  }
  const tree = new GrowingTree();
  while (tree.size < signed.size) {
    const range = { gte: tree.size, lt: Math.min(tree.size + pageSize, signed.size) };
    const page = await ledger.evidenceEntry.findMany({ where: { leafIndex: range }, orderBy: { leafIndex: 'asc' } });
    const nodes = await ledger.evidenceNode.findMany({ where: { level: 0, index: range } });
    const stored = new Map(nodes.map(({ index, hash }) => [Number(index), hash]));
    for (const { leafIndex, body } of page) {
      if (Number(leafIndex) !== tree.size) return { broken: `leaf ${tree.size} is missing: its entry was removed` };
      const hash = leafHash(body);
      if (!hash.equals(stored.get(tree.size) ?? Buffer.alloc(0))) {
        return { broken: `leaf ${tree.size}: its hash in the tree is not that of its entry` };
      }
      tree.append(hash);
    }
    if (tree.size < range.lt) return { broken: `leaf ${tree.size} is missing: its entry was removed` };
  }
  if (!tree.root.equals(signed.root))
    return { broken: `the entries do not have the root that was signed at size ${signed.size}` };
  return { sealed: tree.size };
}
