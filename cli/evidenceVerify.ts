import { createReadStream, existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { type BundleReport, checkBundle, type ProvenEntry } from '../domain/evidence/bundleCheck.ts';
import { openChainHead } from '../domain/evidence/chainHead.ts';
import { type Checkpoint, openCheckpoint } from '../domain/evidence/checkpoint.ts';
import { ExportCheck, type ExportReport, parseEntry } from '../domain/evidence/exportCheck.ts';
import { formatVerifierKey, NoteInvalid, type NoteVerifier, parseVerifierKey } from '../domain/evidence/signedNote.ts';
import { currentKey, openSuccession, type Succession } from '../domain/evidence/succession.ts';
import { bundleFiles, byteLines, exportFiles } from './evidenceFiles.ts';

/** Something without which nothing can be verified: a file that is missing, or is not what its name says. */
export interface VerificationImpossible {
  readonly ok: false;
  readonly problems: readonly { readonly code: 'unusable-file'; readonly message: string }[];
}
export type VerificationReport = ExportReport | VerificationImpossible;

export interface VerificationOrder {
  readonly directory: string;
  /** An older (or equal) checkpoint of the same log that was kept elsewhere: the export must continue it. */
  readonly heldCheckpointFile?: string;
  /** The note key, from elsewhere; otherwise the one in the export, which whoever forged the export chose. */
  readonly vkeyFile?: string;
}

class UnusableFile extends Error {
  override readonly name = 'UnusableFile';
}

/**
 * Verifies an export offline: the signature, the size and root of the tree rebuilt from the lines, and the continuation of
 * a checkpoint held elsewhere. Reads only; whatever is wrong is in the report, never thrown.
 */
export async function verifyExport(order: VerificationOrder): Promise<VerificationReport> {
  const files = exportFiles(order.directory);
  try {
    const successions = await successionsIn(files.entries);
    const trusted = await readVerifierKey(order.vkeyFile ?? files.vkey);
    const verifier = currentKey(trusted, successions);
    const checkpoint = await readCheckpoint(files.checkpoint, verifier);
    const held =
      order.heldCheckpointFile === undefined
        ? undefined
        : await readHeld(order.heldCheckpointFile, verifier, successions);
    const check = new ExportCheck(checkpoint, held, successions);
    await readLines(files.entries, (line) => check.line(line));
    return check.finish();
  } catch (error) {
    if (!(error instanceof UnusableFile)) throw error;
    return { ok: false, problems: [{ code: 'unusable-file', message: error.message }] };
  }
}

/** Whether the directory holds the evidence of one request, and not of the log. */
export function isBundle(directory: string): boolean {
  return existsSync(bundleFiles(directory).head);
}

/** Verifies the evidence of one request offline. Reads only; whatever is wrong is in the report, never thrown. */
export async function verifyBundle(
  order: Pick<VerificationOrder, 'directory' | 'vkeyFile'>,
): Promise<BundleReport | VerificationImpossible> {
  const files = bundleFiles(order.directory);
  try {
    const verifier = await readVerifierKey(order.vkeyFile ?? files.vkey);
    const checkpoint = await readCheckpoint(files.checkpoint, verifier);
    const note = await readWhole(files.head);
    const head = withPath(files.head, () => openChainHead(note, verifier));
    return checkBundle(checkpoint, head, await provenEntries(files));
  } catch (error) {
    if (!(error instanceof UnusableFile)) throw error;
    return { ok: false, problems: [{ code: 'unusable-file', message: error.message }] };
  }
}

const proofSchema = z.object({ leafIndex: z.int().nonnegative(), hashes: z.array(z.base64()) });

async function provenEntries(files: ReturnType<typeof bundleFiles>): Promise<ProvenEntry[]> {
  const leaves: Uint8Array[] = [];
  await readLines(files.entries, (line) => void leaves.push(line));
  const proofs: z.output<typeof proofSchema>[] = [];
  await readLines(files.proofs, (line) => void proofs.push(proofOf(files.proofs, line)));
  if (proofs.length !== leaves.length)
    throw new UnusableFile(
      `${files.proofs} has ${proofs.length} proofs for ${leaves.length} entries: one for each line.`,
    );
  return leaves.map((leaf, place) => ({
    leaf,
    leafIndex: proofs[place]?.leafIndex ?? -1,
    hashes: (proofs[place]?.hashes ?? []).map((hash) => Buffer.from(hash, 'base64')),
  }));
}

function proofOf(path: string, line: Uint8Array): z.output<typeof proofSchema> {
  try {
    return proofSchema.parse(JSON.parse(Buffer.from(line).toString('utf8')));
  } catch (cause) {
    throw new UnusableFile(`${path}: a line is no proof: {"leafIndex": …, "hashes": […]}.`, { cause });
  }
}

async function readVerifierKey(path: string): Promise<NoteVerifier> {
  const text = await readWhole(path);
  return withPath(path, () => parseVerifierKey(text.toString('utf8')));
}

async function readCheckpoint(path: string, verifier: NoteVerifier): Promise<Checkpoint> {
  const note = await readWhole(path);
  return withPath(path, () => openCheckpoint(note, verifier));
}

/** By the key of the log that it is of, where the keys after it, each signed by the one before, come to that of the export. */
async function readHeld(path: string, verifier: NoteVerifier, successions: readonly Succession[]): Promise<Checkpoint> {
  const [origin] = (await readWhole(path)).toString('utf8').split('\n', 1);
  const earlier = successions.map(({ oldKey }) => oldKey).find(({ name }) => name === origin);
  const isBridged =
    earlier !== undefined && formatVerifierKey(currentKey(earlier, successions)) === formatVerifierKey(verifier);
  return readCheckpoint(path, isBridged ? earlier : verifier);
}

/** The successions of an export, each signed by both of its keys; whatever else is wrong with a line is told elsewhere. */
async function successionsIn(path: string): Promise<Succession[]> {
  const successions: Succession[] = [];
  await readLines(path, (line) => {
    if (!Buffer.from(line).includes('"succession":')) return;
    const entry = parseEntry(line);
    if ('code' in entry || entry.chain !== 'installation' || entry.kind !== 'installation.log-begun') return;
    const note = entry.data['succession'];
    if (typeof note === 'string') successions.push(withPath(path, () => openSuccession(note)));
  });
  return successions;
}

async function readWhole(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw unreadable(path, error);
  }
}

async function readLines(path: string, onLine: (line: Uint8Array) => void): Promise<void> {
  try {
    for await (const line of byteLines(createReadStream(path))) onLine(line);
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** The errors of the file system carry a code; anything else is no fault of the file. */
function unreadable(path: string, error: unknown): unknown {
  if (!(error instanceof Error && 'code' in error)) return error;
  return new UnusableFile(
    `${path} cannot be read (${String(error.code)}). An export has entries.jsonl, checkpoint and vkey.`,
    {
      cause: error,
    },
  );
}

function withPath<Result>(path: string, read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    if (error instanceof NoteInvalid) throw new UnusableFile(`${path}: ${error.message}`, { cause: error });
    throw error;
  }
}
