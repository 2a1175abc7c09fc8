import type { Draft } from './draft.ts';
import type { PublicationFacts } from './facts.ts';
import type { RequestKind } from './language.ts';
import { recheck } from './stages.ts';

/** Publications: the published flows are changed, all of it in one transaction, or nothing of it. */

/** What a document is about: flows are on an operation, the invariants on all of them. */
export type DocumentOperation = RequestKind | 'invariants';

/** One document that a publication changes. */
export interface PublicationItem {
  /** `metadata.name` of a flow; `invariants`. */
  readonly name: string;
  readonly operation: DocumentOperation;
  /** SHA-256 (hex) of what is published; null: nothing is, the name is retired. */
  readonly digest: string | null;
  /** What it takes the place of; null: there is none of this name. */
  readonly replaces: string | null;
}

/** What a publication changes. Approvers are shown it, and their decisions are bound to it. */
export interface PublicationProposal {
  /** SHA-256 (hex) of the RFC 8785 form of all other fields. */
  readonly digest: string;
  /** Who asks for it: nobody else's request can name this content, whatever an order says. */
  readonly author: string;
  readonly items: readonly PublicationItem[];
  /** SHA-256 (hex) of everything that was published when this was checked: on anything else it says nothing. */
  readonly publishedSet: string;
  /** SHA-256 (hex) of the RFC 8785 form of the whole report of that check. */
  readonly report: string;
  readonly isRollback: boolean;
  /** Changes that let more through. */
  readonly weakens: number;
  /** Those in words; the first `shownWeakenings` of them, all are in the report. */
  readonly weakening: readonly string[];
  readonly strengthens: number;
  /** Recorded requests that would be decided otherwise. */
  readonly changesDecisions: number;
}

/** How many weakening changes an approver is shown before the report must be read: more at once nobody reviews. */
export const shownWeakenings = 100;

/**
 * The `publish` effect: every check again, then all of it in this transaction. Returns true when the stage is passed. A set
 * that was changed meanwhile is another one than approvers were shown the effect on: denied, to be asked for again.
 */
export function settlePublication(draft: Draft): boolean {
  const { holds, request, publishedSet } = draft.facts;
  if (holds.some(({ kind }) => kind === 'pause')) return false;
  if (!recheck(draft)) return false;
  const { publication } = request;
  if (publication === undefined) throw new TypeError(`Publication ${request.id} says nothing to publish: a defect.`);
  if (publication.publishedSet !== publishedSet) {
    draft.finish('denied', 'published-meanwhile');
    return false;
  }
  for (const { name, operation, digest, replaces } of publication.items) {
    if (digest !== null) draft.change({ change: 'publish-flow', name, operation, digest, replaces });
    else if (replaces !== null) draft.change({ change: 'retire-flow', name, operation, replaces });
  }
  return true;
}

/** What guards read of it. */
export function publicationFactsOf(proposal: PublicationProposal): PublicationFacts {
  const { items, isRollback, weakens, strengthens, changesDecisions } = proposal;
  return {
    names: items.map(({ name }) => name),
    operations: [...new Set(items.map(({ operation }) => operation))],
    isRollback,
    retires: items.filter(({ digest }) => digest === null).length,
    weakens,
    strengthens,
    changesDecisions,
  };
}
