import type { KeyObject } from 'node:crypto';
import type { Checkpoint } from './checkpoint.ts';
import { logOf, successorOrigin } from './logOrigin.ts';
import {
  decodeBase64,
  formatVerifierKey,
  NoteInvalid,
  type NoteVerifier,
  noteVerifier,
  openNote,
  parseVerifierKey,
  signNote,
} from './signedNote.ts';

/** One evidence key hands over to another: a note that both have signed, so that neither alone can make one. */
export interface Succession {
  /** The last checkpoint of the log that ends. */
  readonly old: Checkpoint;
  readonly oldKey: NoteVerifier;
  /** The key of the log that goes on with the same tree; its name is that log's origin. */
  readonly newKey: NoteVerifier;
}

/** The signed note of a succession; the format is in docs/evidence.md. @throws NoteInvalid when both keys are the same */
export function signSuccession(old: Checkpoint, oldKey: KeyObject, newKey: KeyObject): string {
  const { installation, generation } = logOf(old.origin);
  const origin = successorOrigin(installation, generation + 1);
  const keys = [noteVerifier(old.origin, oldKey), noteVerifier(origin, newKey)].map(formatVerifierKey);
  const text = [`${origin}/succession`, old.origin, old.size, old.root.toString('base64'), ...keys, ''].join('\n');
  const note = signNote(text, old.origin, oldKey) + signNote(text, origin, newKey).slice(text.length + 1);
  openSuccession(note);
  return note;
}

/** @throws NoteInvalid when it is malformed, or one of the two keys that it names has not signed it */
export function openSuccession(note: string): Succession {
  const [title, oldOrigin = '', sizeText = '', rootText = '', oldVkey = '', newVkey = '', end] = note.split('\n');
  const [oldKey, newKey] = [parseVerifierKey(oldVkey), parseVerifierKey(newVkey)];
  for (const key of [oldKey, newKey]) openNote(note, key);
  const [before, after] = [logOf(oldOrigin), logOf(newKey.name)];
  const root = decodeBase64(rootText);
  const isWellFormed =
    end === '' &&
    title === `${newKey.name}/succession` &&
    oldKey.name === oldOrigin &&
    before.installation === after.installation &&
    after.generation === before.generation + 1 &&
    newKey.name === successorOrigin(after.installation, after.generation) &&
    /^[1-9][0-9]*$/.test(sizeText) &&
    Number.isSafeInteger(Number(sizeText));
  if (!isWellFormed || root?.length !== 32)
    throw new NoteInvalid(
      'The succession is malformed: it must name two logs of one installation, one after the other.',
    );
  if (oldKey.publicKey.equals(newKey.publicKey)) throw new NoteInvalid('A key cannot succeed itself.');
  return { old: { origin: oldOrigin, size: Number(sizeText), root }, oldKey, newKey };
}

/**
 * The key that a log is verified with now, by one that a verifier was given and the successions in the log.
 * @returns `trusted` itself when nothing succeeds it
 */
export function currentKey(trusted: NoteVerifier, successions: readonly Succession[]): NoteVerifier {
  let key = trusted;
  for (const { oldKey, newKey } of successions) if (formatVerifierKey(oldKey) === formatVerifierKey(key)) key = newKey;
  return key;
}
