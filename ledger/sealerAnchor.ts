import { replaceDurably } from './sealerHead.ts';

/** A place outside the installation that keeps the newest checkpoint, so that nobody inside can rewrite history unseen. */
export interface Anchor {
  /** For messages: where it is, without credentials. */
  readonly name: string;
  /** Keeps `note` as the newest checkpoint. Idempotent: the same note comes again after a restart. */
  publish(note: string): Promise<void>;
}

/** Keeps the newest checkpoint in a file, replaced whole: point it at a mount that the installation's operators cannot rewrite. */
export function fileAnchor(path: string): Anchor {
  return { name: `file ${path}`, publish: (note) => replaceDurably(path, note) };
}
