import type { KeyObject } from 'node:crypto';
import { decodeBase64, NoteInvalid, type NoteVerifier, openNote, signNote } from './signedNote.ts';

/** A C2SP tlog checkpoint (c2sp.org/tlog-checkpoint): the head of the log at one size. */
export interface Checkpoint {
  /** Names the log: this installation's. It is the name of the signing key too. */
  readonly origin: string;
  /** Number of leaves. */
  readonly size: number;
  /** RFC 6962 root hash, 32 bytes. */
  readonly root: Buffer;
}

/** The signed note that publishes `checkpoint`. The same checkpoint and key always give the same note. */
export function signCheckpoint({ origin, size, root }: Checkpoint, signingKey: KeyObject): string {
  if (!Number.isSafeInteger(size) || size < 0) throw new RangeError(`A checkpoint cannot be of size ${size}.`);
  if (root.length !== 32) throw new RangeError(`A root hash has 32 bytes, not ${root.length}.`);
  return signNote(`${origin}\n${size}\n${root.toString('base64')}\n`, origin, signingKey);
}

/**
 * The checkpoint in a note, after its signature was verified and its origin found to be the verifier's. Extension lines
 * are allowed and carry no meaning.
 * @throws NoteInvalid
 */
export function openCheckpoint(note: Uint8Array | string, verifier: NoteVerifier): Checkpoint {
  const [origin, sizeText, rootText] = openNote(note, verifier).split('\n');
  if (origin !== verifier.name)
    throw new NoteInvalid(`The checkpoint is of ${origin}, but its key is that of ${verifier.name}.`);
  const size = /^(?:0|[1-9][0-9]*)$/.test(sizeText ?? '') ? Number(sizeText) : Number.NaN;
  const root = decodeBase64(rootText ?? '');
  if (!Number.isSafeInteger(size) || root?.length !== 32) {
    throw new NoteInvalid(
      'The checkpoint is malformed: it must hold an origin, a size and a base64 root hash, a line each.',
    );
  }
  return { origin, size, root };
}
