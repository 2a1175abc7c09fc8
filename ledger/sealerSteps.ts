import { setTimeout as wait } from 'node:timers/promises';
import { type Checkpoint, signCheckpoint } from '../domain/evidence/checkpoint.ts';
import { logOf } from '../domain/evidence/logOrigin.ts';
import { chainStart, macHolds } from '../domain/evidence/macChain.ts';
import { leafHash, type TreeNode } from '../domain/evidence/merkleTree.ts';
import { NoteInvalid } from '../domain/evidence/signedNote.ts';
import type { DirectPool } from './direct.ts';
import type { EvidenceKeys } from './evidence.ts';
import { entryFound, type Found, isAccepted } from './evidenceDamage.ts';
import { type CurrentLog, logOfRow, openOwnCheckpoint } from './evidenceLogs.ts';
import { requireNotSucceeded } from './evidenceSuccession.ts';
import { growingTreeAt, rootAt, sizeUpTo, storeNodes } from './evidenceTree.ts';
import { insertRow } from './rows.ts';
import { type Anchor, AnchorMissing, readAnchor } from './sealerAnchor.ts';
import { readHead, replaceDurably, setHeadAside } from './sealerHead.ts';
import type { Statements } from './statements.ts';

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
  /** What an operator may accept as it is. */
  readonly found: Found;
  constructor(entry: UnsealedEntry) {
    super(
      `Evidence entry ${entry.id} (chain ${entry.chain}, position ${entry.position}) does not fit its MAC chain: it, or ` +
        'the one before it, was changed or removed in the database after it was written. Sealing stops here; find out who did it. ' +
        `Put the database back that has it as it was; if there is none, \`tenure evidence accept ${entry.id} --reason …\` seals ` +
        'it as it is, and says so in the evidence for ever.',
    );
    this.found = entryFound(entry);
  }
}

/** The newest checkpoint in the ledger is not what was signed. Nothing was written. */
export class CheckpointTampered extends Error {
  override readonly name = 'CheckpointTampered';
  constructor(size: number, options: ErrorOptions) {
    super(
      `The checkpoint of size ${size} in the ledger is not one that this installation signed: the table evidence_checkpoint was ` +
        'changed, or another key signs here. Nothing is sealed. Restore that row from a backup; find out who did it.',
      options,
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
  readonly direct: DirectPool;
  readonly keys: EvidenceKeys;
  /** Beside the signing key, never inside the database or its backup. */
  readonly headFile: string;
  /** Read and compared before anything is numbered or signed, and written before what was signed is published. */
  readonly anchor?: Anchor;
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
/**
 * What is signed must survive the crash of a server that answers commits early. A process that stands still keeps its
 * connection and with it the lock: there the server ends the transaction.
 */
export const round = `BEGIN ISOLATION LEVEL READ COMMITTED;
  SET LOCAL synchronous_commit = on; SET LOCAL transaction_timeout = ${longestRoundMs}`;

/**
 * Step one: gives every committed entry without a leaf index the next one, in order of id among those visible (a long
 * transaction may commit a lower id later and then simply gets a later index), with the tree's new nodes.
 * Idempotent: all in one transaction; a lost one changed nothing.
 * @returns how many entries were numbered; undefined when another sealer is at work
 * @throws EvidenceForked, EvidenceTampered, SealerHeadMissing, SealerHeadUnreadable
 */
export async function numberEntries(sealing: Sealing): Promise<number | undefined> {
  const { direct, keys } = sealing;
  return direct.transaction(round, async (tx) => {
    const [standing, entries] = await Promise.all([becomeSealer(tx, keys), unsealedEntries(tx)]);
    if (standing === undefined) return undefined;
    await requireSignedHistory(tx, standing, sealing);
    const { size } = standing;
    if (entries.length === 0) return 0;
    const tree = await growingTreeAt(tx, size);
    const nodes: TreeNode[] = [];
    for (const entry of entries) {
      await requireWhole(tx, keys, entry);
      nodes.push(...tree.append(leafHash(entry.body)));
    }
    await Promise.all([
      storeNodes(tx, nodes),
      tx.$executeRaw`
        UPDATE "evidence_entry" AS entry SET "leafIndex" = ${BigInt(size)} + numbered."place" - 1
        FROM unnest(${entries.map(({ id }) => id)}::bigint[]) WITH ORDINALITY AS numbered("id", "place")
        WHERE entry."id" = numbered."id"`,
    ]);
    return entries.length;
  });
}

/**
 * Step two, once the indexes are committed: signs the tree as it stands, puts the head on disk, and only then publishes
 * it. A crash in between leaves a head that the tree still fits; the same checkpoint is then signed to the same note.
 * Idempotent: a tree that has not grown is not signed again.
 * @returns the newest checkpoint; undefined when there is nothing to sign or another sealer is at work
 * @throws EvidenceForked, SealerHeadMissing, SealerHeadUnreadable
 */
export async function publishHead(sealing: Sealing): Promise<PublishedCheckpoint | undefined> {
  const { direct, keys, headFile, anchor } = sealing;
  return direct.transaction(round, async (tx) => {
    const standing = await becomeSealer(tx, keys);
    if (standing === undefined) return undefined;
    const anchored = await requireSignedHistory(tx, standing, sealing);
    const { size, log, published } = standing;
    const isBehind = (to: number) => anchored?.origin !== log.origin || anchored.size < to;
    // A new log begins with the entry that tells of it: until that has its index there is nothing to sign.
    if (size <= log.firstSize || published?.size === size) {
      if (published !== undefined && isBehind(published.size)) await anchor?.publish(published.note);
      return published;
    }
    const root = await rootAt(tx, size);
    const note = signCheckpoint({ origin: log.origin, size, root }, keys.signingKey);
    await replaceDurably(headFile, note);
    if (isBehind(size)) await anchor?.publish(note);
    await insertRow(tx, 'evidence_checkpoint', { size, rootHash: Uint8Array.from(root), note });
    return { size, note };
  });
}

/**
 * Whether the ledger still holds all that was signed, without sealing anything: asked before a process acts on it.
 * Waits for a sealer that is at work, at most for as long as the server lets one be.
 * @throws EvidenceForked, SealerHeadMissing, SealerHeadUnreadable; SealerBusy when others are at work all the while
 */
export async function checkSignedHistory(sealing: Sealing): Promise<void> {
  const { direct, keys } = sealing;
  const givesUpAt = performance.now() + 2 * longestRoundMs;
  for (;;) {
    const isChecked = await direct.transaction(round, async (tx) => {
      const standing = await becomeSealer(tx, keys);
      if (standing === undefined) return false;
      await requireSignedHistory(tx, standing, sealing);
      return true;
    });
    if (isChecked) return;
    if (performance.now() > givesUpAt) throw new SealerBusy();
    await wait(100);
  }
}

/** Whether the entries that wait to be sealed, those of one batch, are what was appended. @throws EvidenceTampered */
export async function requireUnsealedWhole({ direct, keys }: Pick<Sealing, 'direct' | 'keys'>): Promise<void> {
  for (const entry of await unsealedEntries(direct)) await requireWhole(direct, keys, entry);
}

async function requireWhole(tx: Statements, keys: EvidenceKeys, entry: UnsealedEntry): Promise<void> {
  const previous = entry.position === 0 ? chainStart : entry.previousMac;
  if (previous !== null && macHolds(keys.macKey, previous, entry.body, entry.mac)) return;
  if (!(await isAccepted(tx, keys, entryFound(entry)))) throw new EvidenceTampered(entry);
}

/** How far the log has come. */
export interface Standing {
  readonly log: CurrentLog;
  /** How many entries have a leaf index. */
  readonly size: number;
  /** The newest checkpoint of this log in the ledger. */
  readonly published: PublishedCheckpoint | undefined;
}

/**
 * One sealer: the lock goes with the transaction, so a lost connection gives it up together with its unfinished work. What
 * is read is read once it is locked.
 * @returns undefined when another sealer is at work
 */
export async function becomeSealer(tx: Statements, keys: EvidenceKeys): Promise<Standing | undefined> {
  const [[lock], [row]] = await Promise.all([
    tx.$queryRaw<{ taken: boolean }[]>`SELECT pg_try_advisory_xact_lock(${sealerLock}) AS "taken"`,
    tx.$queryRaw<StandingRow[]>`
      SELECT (SELECT max("leafIndex") FROM "evidence_entry") AS "last",
        (SELECT "succession" FROM "evidence_log" WHERE "succession" IS NOT NULL
          ORDER BY "generation" DESC LIMIT 1) AS "newestSuccession",
        l."generation", l."firstSize", l."succession", c."size", c."note"
      FROM (SELECT) AS one
      LEFT JOIN LATERAL (
        SELECT "generation", "firstSize", "succession" FROM "evidence_log" ORDER BY "generation" DESC LIMIT 1) l ON true
      LEFT JOIN LATERAL (
        SELECT "size", "note" FROM "evidence_checkpoint" WHERE "size" > coalesce(l."firstSize", 0)
        ORDER BY "size" DESC LIMIT 1) c ON true`,
  ]);
  if (lock?.taken !== true || row === undefined) return undefined;
  const { last, generation, firstSize, succession, newestSuccession, size, note } = row;
  requireNotSucceeded(keys, newestSuccession);
  return {
    log: logOfRow(keys, generation === null || firstSize === null ? null : { generation, firstSize, succession }),
    size: sizeUpTo(last),
    published: size === null || note === null ? undefined : { size: Number(size), note },
  };
}

interface StandingRow {
  readonly last: bigint | null;
  readonly generation: number | null;
  readonly firstSize: bigint | null;
  readonly succession: string | null;
  readonly newestSuccession: string | null;
  readonly size: bigint | null;
  readonly note: string | null;
}

/**
 * The tree must begin with all that was signed of this log: the head on disk, the newest checkpoint in the ledger and what the
 * anchor keeps.
 * @returns what the anchor keeps; undefined without an anchor, and where nothing was ever signed
 */
export async function requireSignedHistory(
  tx: Statements,
  { log, size, published }: Standing,
  sealing: Pick<Sealing, 'keys' | 'headFile' | 'anchor'>,
): Promise<Checkpoint | undefined> {
  const { keys, headFile } = sealing;
  // The anchor first: a head that was put back with the database must not be set aside as that of a lost log.
  const anchored = await requireAnchorContinued(tx, { log, size, published }, sealing);
  const head = await headOf(tx, { log, size }, sealing);
  if (head !== undefined) await requireTreeBeginsWith(tx, head, size);
  if (published === undefined) return anchored;
  if (head === undefined) throw new SealerHeadMissing(headFile, published.size);
  const newest = openPublished(keys, published);
  if (newest.size !== head.size || !newest.root.equals(head.root)) await requireTreeBeginsWith(tx, newest, size);
  return anchored;
}

/** @throws CheckpointTampered */
function openPublished(keys: EvidenceKeys, { size, note }: PublishedCheckpoint): Checkpoint {
  try {
    const checkpoint = openOwnCheckpoint(keys, note);
    if (checkpoint.size === size) return checkpoint;
    throw new NoteInvalid(`The checkpoint is of size ${checkpoint.size}.`);
  } catch (cause) {
    if (cause instanceof NoteInvalid) throw new CheckpointTampered(size, { cause });
    throw cause;
  }
}

/** @throws AnchorMissing, AnchorUnreadable, EvidenceForked */
async function requireAnchorContinued(
  tx: Statements,
  { log, size, published }: Standing,
  { keys, anchor }: Pick<Sealing, 'keys' | 'anchor'>,
): Promise<Checkpoint | undefined> {
  if (anchor === undefined) return undefined;
  const anchored = await readAnchor(anchor, keys);
  if (anchored === undefined) {
    // Before the first checkpoint of all there is nothing to keep; a head alone is one that is about to be kept.
    if (published === undefined && log.firstSize === 0n) return undefined;
    throw new AnchorMissing(anchor.name, published?.size ?? Number(log.firstSize));
  }
  if (anchored.origin === log.origin) {
    await requireTreeBeginsWith(tx, anchored, size);
    return anchored;
  }
  const { generation } = logOf(anchored.origin);
  if (generation > log.generation) throw new EvidenceForked(anchored, `the ledger knows no log after ${log.origin}`);
  // Of a log before this one: this one must have begun by giving up all that the anchor keeps, not less.
  const [given] = await tx.$queryRaw<{ size: bigint; root: string | null }[]>`
    SELECT coalesce(r."signedSize", l."firstSize") AS "size", r."signedRoot" AS "root"
    FROM "evidence_log" l LEFT JOIN "ledger_restore" r ON r."id" = l."restoreId"
    WHERE l."generation" > ${generation} ORDER BY l."generation" LIMIT 1`;
  // A succession gives nothing up: the tree must still begin with what was signed before it.
  if (given !== undefined && given.root === null) await requireTreeBeginsWith(tx, anchored, size);
  const isAnothers =
    given?.size === BigInt(anchored.size) && given.root !== null && given.root !== anchored.root.toString('hex');
  if (given === undefined || given.size < anchored.size || isAnothers)
    throw new EvidenceForked(anchored, `the log ${log.origin} was begun without knowing of it`);
  return anchored;
}

/** The head on disk, if it is of this log. That of a log before it is lost by an administrator's word, and set aside. */
async function headOf(
  tx: Statements,
  { log, size }: Pick<Standing, 'log' | 'size'>,
  { keys, headFile }: Pick<Sealing, 'keys' | 'headFile'>,
): Promise<Checkpoint | undefined> {
  const head = await readHead(headFile, keys);
  if (head === undefined || head.origin === log.origin) return head;
  const { generation } = logOf(head.origin);
  if (generation > log.generation) throw new EvidenceForked(head, `the ledger knows no log after ${log.origin}`);
  if (log.isSuccessor) {
    if (head.size > log.firstSize)
      throw new EvidenceForked(head, `${log.origin} succeeded it at ${log.firstSize}: two keys signed on`);
    await requireTreeBeginsWith(tx, head, size);
  }
  await setHeadAside(headFile, head, log.isSuccessor ? 'succeeded' : 'lost');
  return undefined;
}

async function requireTreeBeginsWith(tx: Statements, signed: Checkpoint, size: number): Promise<void> {
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
async function unsealedEntries(tx: Statements): Promise<UnsealedEntry[]> {
  return tx.$queryRaw<UnsealedEntry[]>`
    SELECT entry."id", entry."chain", entry."position", entry."body", entry."mac", previous."mac" AS "previousMac"
    FROM "evidence_entry" AS entry
    LEFT JOIN "evidence_entry" AS previous
      ON previous."chain" = entry."chain" AND previous."position" = entry."position" - 1
    WHERE entry."leafIndex" IS NULL
    ORDER BY entry."id" LIMIT ${batchSize}`;
}
