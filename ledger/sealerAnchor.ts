import type { Checkpoint } from '../domain/evidence/checkpoint.ts';
import { NoteInvalid } from '../domain/evidence/signedNote.ts';
import type { EvidenceKeys } from './evidence.ts';
import { openOwnCheckpoint } from './evidenceLogs.ts';
import { readNoteFile, replaceDurably } from './sealerHead.ts';

/** A place outside the installation that keeps the newest checkpoint, so that nobody inside can rewrite history unseen. */
export interface Anchor {
  /** For messages: where it is, without credentials. */
  readonly name: string;
  /** The note that it keeps; undefined when it keeps none. */
  read(): Promise<string | undefined>;
  /** Keeps `note` as the newest checkpoint. Idempotent: the same note comes again after a restart. */
  publish(note: string): Promise<void>;
}

/** Keeps the newest checkpoint in a file, replaced whole: point it at a mount that the installation's operators cannot rewrite. */
export function fileAnchor(path: string): Anchor {
  return { name: `file ${path}`, read: () => readNoteFile(path), publish: (note) => replaceDurably(path, note) };
}

/** What the anchor keeps cannot be read or is no checkpoint of this installation. Nothing is sealed until it is put right. */
export class AnchorUnreadable extends Error {
  override readonly name = 'AnchorUnreadable';
  constructor(anchor: string, origin: string, options: ErrorOptions) {
    const why = options.cause instanceof Error ? options.cause.message : String(options.cause);
    super(
      `The anchor (${anchor}) should keep the newest checkpoint of ${origin}, and what is there cannot be used: ${why} ` +
        'Nothing is sealed until it is. Find out who changed it; put a checkpoint that you kept in its place, or, if there is none, ' +
        'move what is there away and run `tenure evidence anchor seed`.',
      options,
    );
  }
}

/** The anchor keeps nothing although checkpoints were signed: what it kept may have been taken away. Nothing is sealed. */
export class AnchorMissing extends Error {
  override readonly name = 'AnchorMissing';
  constructor(anchor: string, size: number) {
    super(
      `The anchor (${anchor}) keeps no checkpoint, but ${size} entries were signed already. Nothing is sealed until it does. ` +
        'If it is new, run `tenure evidence anchor seed` where the worker runs; if it is not, find out who emptied it.',
    );
  }
}

/** @throws AnchorUnreadable */
export async function readAnchor(anchor: Anchor, keys: EvidenceKeys): Promise<Checkpoint | undefined> {
  let note: string | undefined;
  try {
    note = await anchor.read();
  } catch (cause) {
    throw new AnchorUnreadable(anchor.name, keys.origin, { cause });
  }
  if (note === undefined) return undefined;
  try {
    return openOwnCheckpoint(keys, note);
  } catch (cause) {
    if (cause instanceof NoteInvalid) throw new AnchorUnreadable(anchor.name, keys.origin, { cause });
    throw cause;
  }
}
