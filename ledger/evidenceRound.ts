import type { Checkpoint } from '../domain/evidence/checkpoint.ts';
import { evidenceEntrySchema } from '../domain/evidence/entry.ts';
import { chainStart, macHolds } from '../domain/evidence/macChain.ts';
import { GrowingTree, leafHash } from '../domain/evidence/merkleTree.ts';
import { NoteInvalid } from '../domain/evidence/signedNote.ts';
import type { EvidenceKeys } from './evidence.ts';
import { entryFound, type Found, isAccepted, leafFound } from './evidenceDamage.ts';
import { openOwnCheckpoint } from './evidenceLogs.ts';
import { sizeUpTo } from './evidenceTree.ts';
import type { Statements } from './statements.ts';

/** Sealed evidence is not what was sealed. */
export class EvidenceDamaged extends Error {
  override readonly name = 'EvidenceDamaged';
  /** What may be accepted as it is; undefined where it is no single entry. */
  readonly found: Found | undefined;
  /** What it is called on a command line: the entry's id, or `leaf/<index>`. */
  readonly subject: string | undefined;
  constructor(what: string, found?: Found) {
    const subject = found?.subject.replace(/^entry\//, '');
    const accept =
      subject === undefined
        ? ''
        : ` If nothing has it as it was, \`tenure evidence accept ${subject} --reason …\` lets it stand and says so in the evidence.`;
    super(
      `${what}. Somebody changed the database behind its triggers; find out who. Put the entry back from a backup or an ` +
        `export.${accept}`,
    );
    this.found = found;
    this.subject = subject;
  }
}

/** Entries of one page: bounds the memory, and how long this process attends to nothing else. */
const pageSize = 500;

interface Leaf {
  readonly index: bigint;
  readonly hash: Uint8Array | null;
  /** Null where no entry has this leaf index. */
  readonly id: bigint | null;
  readonly chain: string;
  readonly position: number;
  readonly body: string;
  readonly mac: Uint8Array;
  readonly requestId: string | null;
  readonly identityId: string | null;
  readonly at: Date;
  readonly previousMac: Uint8Array | null;
}

/**
 * One pass over everything sealed, a page at a time and safe while the ledger is in use: each entry against its leaf hash,
 * its MAC and its columns, and at the end the whole against the newest checkpoint. What was sealed after the pass began is
 * the next one's.
 */
export class EvidenceRound {
  readonly #keys: EvidenceKeys;
  readonly #tree = new GrowingTree();
  #signed: { readonly size: number; readonly root: Buffer } | undefined;

  constructor(keys: EvidenceKeys) {
    this.#keys = keys;
  }

  /** How many entries this pass has to look at; 0 until it has begun. */
  get size(): number {
    return this.#signed?.size ?? 0;
  }

  /**
   * Looks at the next `entries` at most.
   * @returns how many it looked at when the pass has ended; undefined when there is more
   * @throws EvidenceDamaged naming the first leaf that is wrong; the pass is then over
   */
  async next(tx: Statements, entries: number): Promise<number | undefined> {
    this.#signed ??= await newestSigned(tx, this.#keys);
    const { size, root } = this.#signed;
    const until = Math.min(this.#tree.size + entries, size);
    while (this.#tree.size < until) {
      const page = await leaves(tx, this.#tree.size, Math.min(this.#tree.size + pageSize, until));
      for (const leaf of page) this.#tree.append(await this.#verified(tx, leaf));
    }
    if (until < size) return undefined;
    if (size > 0 && !this.#tree.root.equals(root))
      throw new EvidenceDamaged(`The ${size} sealed entries do not have the root that was signed`);
    return size;
  }

  /** @returns the hash of the leaf in the tree */
  async #verified(tx: Statements, leaf: Leaf): Promise<Buffer> {
    const index = Number(leaf.index);
    const problem = problemOf(leaf, this.#keys);
    if (problem === undefined) return leafHash(leaf.body);
    const { id, hash } = leaf;
    if (hash === null) throw new EvidenceDamaged(`Leaf ${index}: its hash in evidence_node was removed`);
    const found = id === null ? leafFound(index, hash) : entryFound({ ...leaf, id });
    // What the tree says of it is still compared with what was signed, at the end.
    if (await isAccepted(tx, this.#keys, found)) return Buffer.from(hash);
    const where = id === null ? '' : ` (entry ${id}, chain ${leaf.chain}, position ${leaf.position})`;
    throw new EvidenceDamaged(`Leaf ${index}, line ${index + 1} of an export${where}: ${problem}`, found);
  }
}

function problemOf(leaf: Leaf, keys: EvidenceKeys): string | undefined {
  if (leaf.id === null) return 'its entry was removed';
  if (leaf.hash === null || !leafHash(leaf.body).equals(leaf.hash)) return 'its text is not what was sealed';
  const previous = leaf.position === 0 ? chainStart : leaf.previousMac;
  if (previous === null) return 'the entry before it in its chain was removed';
  if (!macHolds(keys.macKey, previous, leaf.body, leaf.mac)) return 'it does not fit its MAC chain';
  const column = differingColumn(leaf, keys.origin);
  return column === undefined ? undefined : `its column ${column} is not what its text says`;
}

/** The columns are for finding entries; a changed one would hide an entry from its request. */
function differingColumn(leaf: Leaf, origin: string): string | undefined {
  const entry = evidenceEntrySchema.parse(JSON.parse(leaf.body));
  if (entry.installation !== origin) return 'installation';
  if (entry.chain !== leaf.chain) return 'chain';
  if (entry.position !== leaf.position) return 'position';
  if ((entry.requestId ?? null) !== leaf.requestId) return 'requestId';
  if ((entry.identityId ?? null) !== leaf.identityId) return 'identityId';
  if (Date.parse(entry.at) !== leaf.at.getTime()) return 'at';
  return undefined;
}

async function newestSigned(tx: Statements, keys: EvidenceKeys): Promise<{ size: number; root: Buffer }> {
  const [row] = await tx.$queryRaw<{ note: string | null; last: bigint | null }[]>`
    SELECT (SELECT "note" FROM "evidence_checkpoint" ORDER BY "size" DESC LIMIT 1) AS "note",
      (SELECT max("leafIndex") FROM "evidence_entry") AS "last"`;
  if (row === undefined || row.note === null) return { size: 0, root: Buffer.alloc(0) };
  const { size, root } = openedCheckpoint(keys, row.note);
  if (sizeUpTo(row.last) < size)
    throw new EvidenceDamaged(`${size} entries were signed and the ledger holds ${sizeUpTo(row.last)} sealed ones`);
  return { size, root };
}

function openedCheckpoint(keys: EvidenceKeys, note: string): Checkpoint {
  try {
    return openOwnCheckpoint(keys, note);
  } catch (error) {
    if (error instanceof NoteInvalid)
      throw new EvidenceDamaged(`The newest checkpoint is none of ours: ${error.message}`);
    throw error;
  }
}

function leaves(tx: Statements, from: number, to: number): Promise<Leaf[]> {
  return tx.$queryRaw<Leaf[]>`
    SELECT place."index", node."hash", entry."id", entry."chain", entry."position", entry."body", entry."mac",
      entry."requestId", entry."identityId", entry."at", previous."mac" AS "previousMac"
    FROM generate_series(${BigInt(from)}::bigint, ${BigInt(to - 1)}::bigint) AS place("index")
    LEFT JOIN "evidence_node" AS node ON node."level" = 0 AND node."index" = place."index"
    LEFT JOIN "evidence_entry" AS entry ON entry."leafIndex" = place."index"
    LEFT JOIN "evidence_entry" AS previous
      ON previous."chain" = entry."chain" AND previous."position" = entry."position" - 1
    ORDER BY place."index"`;
}
