import type { KeyObject } from 'node:crypto';
import type { Checkpoint } from './checkpoint.ts';
import { decodeBase64, NoteInvalid, type NoteVerifier, openNote, signNote } from './signedNote.ts';

/** How much a log holds of one chain: what a bundle is complete by. */
export interface ChainHead extends Checkpoint {
  readonly chain: string;
  /** Entries of the chain among the first `size` of the log: their positions are 0 and following, so none is missing. */
  readonly entries: number;
  /** Entries of other chains that name the same request. */
  readonly others: number;
}

/** No checkpoint begins so: a verifier takes neither for the other. */
const firstLineOf = (origin: string): string => `${origin}/chain-head`;

/** The signed note that says how much there is; by the log's own key. The same head and key always give the same note. */
export function signChainHead({ origin, chain, entries, others, size, root }: ChainHead, key: KeyObject): string {
  const lines = [firstLineOf(origin), chain, entries, others, size, root.toString('base64')];
  return signNote(`${lines.join('\n')}\n`, origin, key);
}

/** What a note says, after its signature was verified. @throws NoteInvalid */
export function openChainHead(note: Uint8Array | string, verifier: NoteVerifier): ChainHead {
  const [first, chain = '', entries = '', others = '', size = '', rootText = ''] = openNote(note, verifier).split('\n');
  if (first !== firstLineOf(verifier.name)) throw new NoteInvalid(`It is no chain head of ${verifier.name}.`);
  const [counted, named, sized] = [entries, others, size].map((text) =>
    /^(?:0|[1-9][0-9]{0,15})$/.test(text) ? Number(text) : undefined,
  );
  const root = decodeBase64(rootText);
  if (chain === '' || counted === undefined || named === undefined || sized === undefined || root?.length !== 32)
    throw new NoteInvalid(
      'The chain head is malformed: it must hold a chain, two counts, a size and a root, a line each.',
    );
  return { origin: verifier.name, chain, entries: counted, others: named, size: sized, root };
}
