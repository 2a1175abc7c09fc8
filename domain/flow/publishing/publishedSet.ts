import { createHash } from 'node:crypto';
import { canonicalJson } from '../../evidence/canonicalJson.ts';
import type { DocumentOperation, PublicationProposal } from '../publication.ts';

/** One document that is published. */
export interface PublishedName {
  readonly name: string;
  readonly operation: DocumentOperation;
  readonly digest: string;
}

/** SHA-256 (hex) of everything that is published, whatever its order here: a check says something about this set alone. */
export function publishedSetDigest(published: readonly PublishedName[]): string {
  const inOrder = published
    .map(({ name, operation, digest }) => ({ name, operation, digest }))
    .sort((one, other) => (one.name < other.name ? -1 : 1));
  return sha256(canonicalJson(inOrder));
}

/** SHA-256 (hex) of the RFC 8785 form of a proposal without its digest. */
export function publicationDigest(proposal: Omit<PublicationProposal, 'digest'>): string {
  return sha256(canonicalJson(JSON.parse(JSON.stringify(proposal))));
}

/** SHA-256 (hex) of a text in UTF-8. */
export function sha256(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}
