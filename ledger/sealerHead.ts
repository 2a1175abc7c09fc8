import { constants } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
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

/**
 * The text of a file that keeps a note; undefined when there is none. A symbolic link is refused: replacing it would write
 * beside what it points to, and what was read would not be what is kept.
 */
export async function readNoteFile(path: string): Promise<string | undefined> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      return await file.readFile('utf8');
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
 * Returns when it is on disk.
 */
export async function replaceDurably(path: string, text: string): Promise<void> {
  const next = `${path}.next`;
  const file = await open(next, 'w', 0o644);
  try {
    await file.writeFile(text);
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
