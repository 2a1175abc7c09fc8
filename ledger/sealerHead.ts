import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Checkpoint, openCheckpoint } from '../domain/evidence/checkpoint.ts';
import { NoteInvalid, type NoteVerifier } from '../domain/evidence/signedNote.ts';

/** The head file is there and is no checkpoint of this log. Nothing is sealed until it is put right. */
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
 * be told from the one that was signed. Undefined when nothing was ever signed here.
 * @throws SealerHeadUnreadable
 */
export async function readHead(headFile: string, verifier: NoteVerifier): Promise<Checkpoint | undefined> {
  let note: Buffer;
  try {
    note = await readFile(headFile);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new SealerHeadUnreadable(headFile, verifier.name, { cause: error });
  }
  try {
    return openCheckpoint(note, verifier);
  } catch (error) {
    if (error instanceof NoteInvalid) throw new SealerHeadUnreadable(headFile, verifier.name, { cause: error });
    throw error;
  }
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
  // The rename itself is durable only once the directory is.
  const directory = await open(dirname(path), 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
