import { createHmac, type KeyObject } from 'node:crypto';
import type { JsonObject, JsonValue } from './canonicalJson.ts';

/** Principals that are no person: they stay readable in evidence. */
const impersonalPrincipal = /^(?:pipeline|system|agent):/;

/** 128 bits: no two people of one installation share a pseudonym by chance. */
const pseudonymHexDigits = 32;

/**
 * What evidence calls a principal. A person becomes `p_` and 128 bits of HMAC-SHA-256 under the person key: the same
 * person is the same pseudonym throughout the installation, and whoever holds the key (and nobody else) can ask "is this
 * them?". `pipeline:`, `agent:` and `system:` principals are returned as they are; a pseudonym is never hashed again.
 */
export function pseudonym(personKey: KeyObject, principal: string): string {
  if (impersonalPrincipal.test(principal) || isPseudonym(principal)) return principal;
  const digest = createHmac('sha256', personKey).update('tenure/person\0').update(principal, 'utf8').digest('hex');
  return `p_${digest.slice(0, pseudonymHexDigits)}`;
}

function isPseudonym(text: string): boolean {
  return /^p_[0-9a-f]{32}$/.test(text);
}

/**
 * `data` with every e-mail address and every id of a person in it replaced by its pseudonym: as a whole value, inside
 * free text, and as a member name. So no caller has to remember which of its fields are personal. Anything with an `@`
 * counts as an address: better a tag hashed than a person named.
 */
export function withoutPersons(personKey: KeyObject, data: JsonObject): JsonObject {
  return replacePersons(data, (person) => pseudonym(personKey, person));
}

/** The same by any name for a person. */
export function replacePersons(data: JsonObject, nameOf: (person: string) => string): JsonObject {
  return Object.fromEntries(
    Object.entries(data).map(([member, value]) => [
      textWithoutPersons(member, nameOf),
      valueWithoutPersons(value, nameOf),
    ]),
  );
}

function valueWithoutPersons(value: JsonValue, nameOf: (person: string) => string): JsonValue {
  if (typeof value === 'string') return textWithoutPersons(value, nameOf);
  if (typeof value !== 'object' || value === null) return value;
  if (isArray(value)) return value.map((item) => valueWithoutPersons(item, nameOf));
  // What is no plain object is left for canonicalJson to refuse by name.
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null ? replacePersons(value, nameOf) : value;
}

/** `Array.isArray` does not narrow readonly arrays. */
function isArray(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}

/** Ids of people who have no address for one (domain/ids.ts). */
const personId = /person:[a-z2-7]{26}(?![a-z2-7])/g;

function textWithoutPersons(written: string, nameOf: (person: string) => string): string {
  const text = written.replace(personId, nameOf);
  if (!text.includes('@')) return text;
  // A value that is an address and nothing else gets the pseudonym of the principal, unusual characters included.
  if (!/\s/.test(text)) return nameOf(text);
  return text.replace(/[^\s<>()[\]",;:]+/gu, (word) => {
    if (!word.includes('@')) return word;
    const end = /[.!?'`*_]*$/.exec(word)?.index ?? word.length;
    return nameOf(word.slice(0, end)) + word.slice(end);
  });
}
