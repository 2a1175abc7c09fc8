import { createHash, type KeyObject } from 'node:crypto';
import type { Review } from './decisions.ts';
import { canonicalJson, type JsonObject, type JsonValue } from './evidence/canonicalJson.ts';
import { pseudonym, replacePersons } from './evidence/pseudonym.ts';
import { authorsOf } from './flow/authors.ts';

/** What an approver is shown, as it can be published: each person is a pseudonym, the same as in evidence. */
export interface CaseFile {
  /** RFC 8785 has one text for it; that text's SHA-256 is what decisions name. */
  readonly published: JsonObject;
  /** Who is meant, by pseudonym: for the approver's eyes, never for evidence. */
  readonly people: ReadonlyMap<string, string>;
}

/** The version of the form; a member of it, so that no other text has its digest. */
const version = 1;

/** The case file of a review: the same review and key always give the same. */
export function caseFileOf(personKey: KeyObject, review: Review): CaseFile {
  const people = new Map<string, string>();
  const published = (person: string): string => {
    const known = pseudonym(personKey, person);
    if (known !== person) people.set(known, person);
    return known;
  };
  // Members that are people, whatever a person's id looks like; addresses anywhere else are found by their look.
  const named = plain({
    ...review,
    requesterId: published(review.requesterId),
    onBehalfOf: review.onBehalfOf === '' ? '' : published(review.onBehalfOf),
    ...('publication' in review
      ? { publication: publicationOf(review.publication, published) }
      : {
          ownerId: published(review.ownerId),
          ...(review.proposal?.newOwner === undefined
            ? {}
            : { proposal: { ...review.proposal, newOwner: published(review.proposal.newOwner) } }),
        }),
  });
  return { published: { caseFile: version, ...replacePersons(named, published) }, people };
}

/** Without the digest that the ledger knows it by: that is a plain SHA-256, its author's address included. */
function publicationOf(
  { digest: _guessable, author, ...content }: Extract<Review, { publication: unknown }>['publication'],
  published: (person: string) => string,
): object {
  return { ...content, authors: authorsOf(author).map(published) };
}

/** SHA-256 (hex) of the RFC 8785 text. */
export function digestOfCaseFile(published: JsonObject): string {
  return createHash('sha256').update(canonicalJson(published), 'utf8').digest('hex');
}

/** As JSON has it: members that are undefined are none. */
function plain(value: object): { readonly [member: string]: JsonValue } {
  return JSON.parse(JSON.stringify(value)) as JsonObject;
}
