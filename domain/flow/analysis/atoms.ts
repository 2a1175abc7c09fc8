import type { Formula } from './formula.ts';

/**
 * The atoms of guards: the parts without `&& || ! ?:`, in a form where equal questions are equal atoms. What an atom can
 * be follows from the values of its variables; what is not understood is free, which is sound: it may hold, or not.
 */

/** A fact at a moment. What cannot change while a request runs is the same fact at every moment (`moment` is empty). */
export interface Fact {
  /** Such as `subject.environment` or `subject.labels.team`. */
  readonly path: string;
  readonly moment: string;
}

export type Comparison = '<' | '<=' | '==';

export type Atom =
  /** A text fact is one of these values. A label that is absent makes it fail. */
  | { readonly kind: 'text'; readonly fact: Fact; readonly values: readonly string[] }
  /** A label is there. */
  | { readonly kind: 'present'; readonly fact: Fact }
  /** A fact that is true or false. */
  | { readonly kind: 'flag'; readonly fact: Fact }
  /** A whole number against a constant; spans of time are in milliseconds. `of` names the number, such as `size(subject.scopes)`. */
  | {
      readonly kind: 'number';
      readonly of: Fact;
      readonly comparison: Comparison;
      readonly bound: bigint;
      /** The number is what these come to; without it, it is any. One that cannot be evaluated makes the atom fail. */
      readonly sum?: readonly Summand[];
    }
  | FreeAtom;

/** `add` where `when` holds. */
export interface Summand {
  readonly add: bigint;
  readonly when: Formula;
}

/** Anything else: true or false as it likes, but for what is certain. */
export interface FreeAtom {
  readonly kind: 'free';
  /** Canonical CEL. */
  readonly text: string;
  readonly moment: string;
  /** It fails when one of these labels is absent. */
  readonly labels: readonly Fact[];
  /** It may fail for other reasons too. */
  readonly canFail: boolean;
  /** The only fact it reads, when that is a text: for a known value of it, the evaluator knows the answer. */
  readonly single?: Fact;
  /** Names the weights of the risk that it asks of: by other weights, it is another question. */
  readonly weights?: string;
}

export const factKey = ({ path, moment }: Fact): string => (moment === '' ? path : `${path}@${moment}`);

export const freeKey = ({ text, moment, weights = '' }: FreeAtom): string =>
  factKey({ path: `(${text})${weights}`, moment });

export const labelPrefix = 'subject.labels';

/** Facts that no amendment, review or change of the directory reaches while a request runs. */
const lasting: ReadonlySet<string> = new Set([
  'subject.id',
  'subject.kind',
  'subject.name',
  'subject.environment',
  'subject.integration',
  'subject.labels',
  'subject.issuer',
  'subject.store',
  'request.kind',
  'request.trigger',
  'request.justification',
  'requester.id',
  'requester.kind',
  'onBehalfOf.id',
  'tool.name',
  'tool.action',
  'tool.resource',
  'tool.workspace',
  'delegation.isVerified',
]);

/** What a publication would change is bound to it, whole. */
const lastingPrefixes: readonly string[] = ['publication.', 'size(publication.'];

/** The moment of what reads these facts: none when all of them last. */
export function momentOf(reads: Iterable<string>, moment: string): string {
  const isLasting = (path: string): boolean =>
    lasting.has(path) || lastingPrefixes.some((prefix) => path.startsWith(prefix));
  return [...reads].every(isLasting) ? '' : moment;
}

export function fact(path: string, moment: string): Fact {
  return { path, moment: momentOf([path.startsWith(labelPrefix) ? labelPrefix : path], moment) };
}
