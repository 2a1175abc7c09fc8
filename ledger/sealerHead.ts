import { constants } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { Checkpoint } from '../domain/evidence/checkpoint.ts';
import { NoteInvalid } from '../domain/evidence/signedNote.ts';
import type { EvidenceKeys } from './evidence.ts';
import { openOwnCheckpoint } from './evidenceLogs.ts';

/** The head file is there and is no checkpoint of this installation. Nothing is sealed until it is put right. */
export class SealerHeadUnreadable extends Error {
  override readonly name = 'SealerHeadUnreadable';
  constructor(headFile: string, origin: string, options: ErrorOptions) {
    super(
      `${headFile} should hold the last checkpoint that ${origin} signed, and does not. ` +
        'Put the newest checkpoint you hold (the anchor has a copy) in its place; nothing is sealed until then.',
      options,
    );
  }
}

/**
 * The last head that was signed, as the signed note in `headFile`: outside the database, so that a restored database can
 * be told from the one that was signed. Of whichever log; undefined when nothing was ever signed here.
 * @throws SealerHeadUnreadable
 */
export async function readHead(headFile: string, keys: EvidenceKeys): Promise<Checkpoint | undefined> {
  let note: string | undefined;
  try {
    note = await readNoteFile(headFile);
  } catch (error) {
    throw new SealerHeadUnreadable(headFile, keys.origin, { cause: error });
  }
  if (note === undefined) return undefined;
  try {
    return openOwnCheckpoint(keys, note);
  } catch (error) {
    if (error instanceof NoteInvalid) throw new SealerHeadUnreadable(headFile, keys.origin, { cause: error });
    throw error;
  }
}

/** Far more than any note, and little enough to be read each round. */
const largestNoteBytes = 65_536;

/**
 * The text of a file that keeps a note; undefined when there is none. A symbolic link is refused: replacing it would write
 * beside what it points to, and what was read would not be what is kept. Whoever holds the place of the file decides what is
 * there: a pipe is not waited for, and no more is read than a note can be.
 */
export async function readNoteFile(path: string): Promise<string | undefined> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      if (!(await file.stat()).isFile()) throw new Error(`${path} is not a regular file.`);
      const note = await buffer(file.createReadStream({ end: largestNoteBytes, autoClose: false }));
      if (note.length > largestNoteBytes) throw new Error(`${path} is larger than any checkpoint.`);
      return note.toString('utf8');
    } finally {
      await file.close();
    }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT') return undefined;
    if (code === 'ELOOP') throw new Error(`${path} is a symbolic link.`, { cause: error });
    throw error;
  }
}

/**
 * Keeps the head of a log that was lost or has ended beside the file, as proof of what was signed, so that the log after it can have its
 * own. Idempotent.
 */
export async function setHeadAside(
  headFile: string,
  { size, root }: Checkpoint,
  became: 'lost' | 'succeeded',
): Promise<void> {
  await rename(headFile, `${headFile}.${became}-${size}-${root.toString('hex').slice(0, 8)}`);
  await syncDirectoryOf(headFile);
}

/**
 * Replaces the file so that after a crash, of the machine too, it holds either the old text or the new one, whole.
 * Returns when it is on disk. Nothing else is written to: what lies beside it under the name of the new one is removed, a link
 * that somebody put there too, and never followed.
 */
export async function replaceDurably(path: string, note: string): Promise<void> {
  const next = `${path}.next`;
  await rm(next, { force: true });
  const file = await open(next, 'wx', 0o644);
  try {
    await file.writeFile(note);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(next, path);
  await syncDirectoryOf(path);
}

/** A rename is durable only once its directory is. */
async function syncDirectoryOf(path: string): Promise<void> {
  const directory = await open(dirname(path), 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
