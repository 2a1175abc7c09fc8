import { setTimeout as wait } from 'node:timers/promises';
import { type Checkpoint, signCheckpoint } from '../domain/evidence/checkpoint.ts';
import { logOf } from '../domain/evidence/logOrigin.ts';
import { chainStart, macHolds } from '../domain/evidence/macChain.ts';
import { leafHash, type TreeNode } from '../domain/evidence/merkleTree.ts';
import type { Prisma, PrismaClient } from '../prisma/generated/client.ts';
import type { EvidenceKeys } from './evidence.ts';
import { type CurrentLog, currentLog, openOwnCheckpoint } from './evidenceLogs.ts';
import { growingTreeAt, rootAt, storeNodes, treeSize } from './evidenceTree.ts';
import { readHead, replaceDurably, setHeadAside } from './sealerHead.ts';

/** The ledger no longer holds what was signed: signing on would publish two histories. Nothing was written. */
export class EvidenceForked extends Error {
  override readonly name = 'EvidenceForked';
  /** The head that the ledger does not hold. */
  readonly signed: Checkpoint;
  constructor(signed: Checkpoint, found: string) {
    super(
      `A checkpoint of ${signed.origin} was signed at ${signed.size} entries, but ${found}: the database was restored from ` +
        'a backup, or altered. Sealing stays stopped. Bring back the database that holds those entries; if they are lost, ' +
        'let an administrator resume the ledger: a new log then begins under another origin (docs/reconciliation.md).',
    );
    this.signed = signed;
  }
}

/** Checkpoints were signed, but the file that remembers the last one is gone. Nothing was written. */
export class SealerHeadMissing extends Error {
  override readonly name = 'SealerHeadMissing';
  constructor(headFile: string, size: number) {
    super(
      `The ledger holds signed checkpoints up to size ${size}, but there is no ${headFile}, so a restored database could ` +
        'not be told from the true one. Put the newest checkpoint you hold (the anchor has a copy) in its place.',
    );
  }
}

/** An entry is not what was appended. It gets no leaf index and neither does any after it; nothing was written. */
export class EvidenceTampered extends Error {
  override readonly name = 'EvidenceTampered';
  constructor(entry: { readonly id: bigint; readonly chain: string; readonly position: number }) {
    super(
      `Evidence entry ${entry.id} (chain ${entry.chain}, position ${entry.position}) does not fit its MAC chain: it, or ` +
        'the one before it, was changed or removed in the database after it was written. Sealing stops here; find out who did it.',
    );
  }
}

/** Other sealers were at work for longer than any may be. Nothing was looked at; try again. */
export class SealerBusy extends Error {
  override readonly name = 'SealerBusy';
  constructor() {
    super(
      `The sealer's lock was not free for ${(2 * longestRoundMs) / 1000} s, so nobody could tell whether the ledger holds ` +
        'what was signed. Start again; if it stays so, look at pg_stat_activity for who holds an advisory lock.',
    );
  }
}

export interface Sealing {
  readonly ledger: PrismaClient;
  readonly keys: EvidenceKeys;
  /** Beside the signing key, never inside the database or its backup. */
  readonly headFile: string;
}

export interface PublishedCheckpoint {
  readonly size: number;
  readonly note: string;
}

/** Any constant of our own: the one sealer holds it. */
const sealerLock = 6962_0001n;
/** Bounds the memory and the length of one transaction; the sealer goes on with the next batch at once. */
export const batchSize = 1000;
const longestRoundMs = 20_000;
const transactionLimits = { isolationLevel: 'ReadCommitted', maxWait: 10_000, timeout: longestRoundMs } as const;

/**
 * Step one: gives every committed entry without a leaf index the next one, in order of id among those visible (a long
 * transaction may commit a lower id later and then simply gets a later index), with the tree's new nodes.
 * Idempotent: all in one transaction; a lost one changed nothing.
 * @returns how many entries were numbered; undefined when another sealer is at work
 * @throws EvidenceForked, EvidenceTampered, SealerHeadMissing, SealerHeadUnreadable
 */
export async function numberEntries({ ledger, keys, headFile }: Sealing): Promise<number | undefined> {
  return ledger.$transaction(async (tx) => {
    if (!(await becomeSealer(tx))) return undefined;
    const size = await treeSize(tx);
    await requireSignedHistory(tx, await currentLog(tx, keys), { keys, headFile }, size);
    const entries = await unsealedEntries(tx);
    if (entries.length === 0) return 0;
    const tree = await growingTreeAt(tx, size);
    const nodes: TreeNode[] = [];
    for (const entry of entries) {
      const previous = entry.position === 0 ? chainStart : entry.previousMac;
      if (previous === null || !macHolds(keys.macKey, previous, entry.body, entry.mac))
        throw new EvidenceTampered(entry);
      nodes.push(...tree.append(leafHash(entry.body)));
    }
    await storeNodes(tx, nodes);
    await tx.$executeRaw`
      UPDATE "evidence_entry" AS entry SET "leafIndex" = ${BigInt(size)} + numbered."place" - 1
      FROM unnest(${entries.map(({ id }) => id)}::bigint[]) WITH ORDINALITY AS numbered("id", "place")
      WHERE entry."id" = numbered."id"`;
    return entries.length;
  }, transactionLimits);
}

/**
 * Step two, once the indexes are committed: signs the tree as it stands, puts the head on disk, and only then publishes
 * it. A crash in between leaves a head that the tree still fits; the same checkpoint is then signed to the same note.
 * Idempotent: a tree that has not grown is not signed again.
 * @returns the newest checkpoint; undefined when there is nothing to sign or another sealer is at work
 * @throws EvidenceForked, SealerHeadMissing, SealerHeadUnreadable
 */
export async function publishHead({ ledger, keys, headFile }: Sealing): Promise<PublishedCheckpoint | undefined> {
  return ledger.$transaction(async (tx) => {
    if (!(await becomeSealer(tx))) return undefined;
    const size = await treeSize(tx);
    const log = await currentLog(tx, keys);
    const published = await requireSignedHistory(tx, log, { keys, headFile }, size);
    // A new log begins with the entry that tells of it: until that has its index there is nothing to sign.
    if (size <= log.firstSize || published?.size === size) return published;
    const root = await rootAt(tx, size);
    const note = signCheckpoint({ origin: log.origin, size, root }, keys.signingKey);
    await replaceDurably(headFile, note);
    await tx.evidenceCheckpoint.create({ data: { size, rootHash: Uint8Array.from(root), note } });
    return { size, note };
  }, transactionLimits);
}

/**
 * Whether the ledger still holds all that was signed, without sealing anything: asked before a process acts on it.
 * Waits for a sealer that is at work, at most for as long as the server lets one be.
 * @throws EvidenceForked, SealerHeadMissing, SealerHeadUnreadable; SealerBusy when others are at work all the while
 */
export async function checkSignedHistory({ ledger, keys, headFile }: Sealing): Promise<void> {
  const givesUpAt = performance.now() + 2 * longestRoundMs;
  for (;;) {
    const isChecked = await ledger.$transaction(async (tx) => {
      if (!(await becomeSealer(tx))) return false;
      await requireSignedHistory(tx, await currentLog(tx, keys), { keys, headFile }, await treeSize(tx));
      return true;
    }, transactionLimits);
    if (isChecked) return;
    if (performance.now() > givesUpAt) throw new SealerBusy();
    await wait(100);
  }
}

/**
 * One sealer: the lock goes with the transaction, so a lost connection gives it up together with its unfinished work. A
 * process that stands still keeps its connection: there the server ends the transaction.
 */
async function becomeSealer(tx: Prisma.TransactionClient): Promise<boolean> {
  const [lock] = await tx.$queryRaw<{ taken: boolean }[]>`
    SELECT pg_try_advisory_xact_lock(${sealerLock}) AS "taken",
      -- What is signed must survive the crash of a server that answers commits early.
      set_config('synchronous_commit', 'on', true),
      set_config('transaction_timeout', ${String(longestRoundMs)}, true)`;
  return lock?.taken === true;
}

/**
 * The tree must begin with all that was signed of this log: the head on disk and the newest checkpoint in the ledger.
 * @returns the newest checkpoint of this log in the ledger
 */
async function requireSignedHistory(
  tx: Prisma.TransactionClient,
  log: CurrentLog,
  sealing: Pick<Sealing, 'keys' | 'headFile'>,
  size: number,
): Promise<PublishedCheckpoint | undefined> {
  const { keys, headFile } = sealing;
  const head = await headOf(log, sealing);
  const newest = await tx.evidenceCheckpoint.findFirst({
    where: { size: { gt: log.firstSize } },
    orderBy: { size: 'desc' },
  });
  if (head !== undefined) await requireTreeBeginsWith(tx, head, size);
  if (newest === null) return undefined;
  if (head === undefined) throw new SealerHeadMissing(headFile, Number(newest.size));
  await requireTreeBeginsWith(tx, openOwnCheckpoint(keys, newest.note), size);
  return { size: Number(newest.size), note: newest.note };
}

/** The head on disk, if it is of this log. That of a log before it is lost by an administrator's word, and set aside. */
async function headOf(
  log: CurrentLog,
  { keys, headFile }: Pick<Sealing, 'keys' | 'headFile'>,
): Promise<Checkpoint | undefined> {
  const head = await readHead(headFile, keys);
  if (head === undefined || head.origin === log.origin) return head;
  const { generation } = logOf(head.origin);
  if (generation > log.generation) throw new EvidenceForked(head, `the ledger knows no log after ${log.origin}`);
  await setHeadAside(headFile, head);
  return undefined;
}

async function requireTreeBeginsWith(tx: Prisma.TransactionClient, signed: Checkpoint, size: number): Promise<void> {
  if (size < signed.size) throw new EvidenceForked(signed, `the ledger holds only ${size}`);
  const root = await rootAt(tx, signed.size);
  if (!root.equals(signed.root)) throw new EvidenceForked(signed, 'the ledger has another root at that size');
}

interface UnsealedEntry {
  readonly id: bigint;
  readonly chain: string;
  readonly position: number;
  readonly body: string;
  readonly mac: Uint8Array;
  /** Null when the entry before it in its chain is not there. */
  readonly previousMac: Uint8Array | null;
}

/** Appends are serial per chain, so whatever is visible of a chain is its beginning, with ids in the order of positions. */
async function unsealedEntries(tx: Prisma.TransactionClient): Promise<UnsealedEntry[]> {
  return tx.$queryRaw<UnsealedEntry[]>`
    SELECT entry."id", entry."chain", entry."position", entry."body", entry."mac", previous."mac" AS "previousMac"
    FROM "evidence_entry" AS entry
    LEFT JOIN "evidence_entry" AS previous
      ON previous."chain" = entry."chain" AND previous."position" = entry."position" - 1
    WHERE entry."leafIndex" IS NULL
    ORDER BY entry."id" LIMIT ${batchSize}`;
}
