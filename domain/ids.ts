import { createHash, createHmac, type KeyObject } from 'node:crypto';

/** The namespace of Tenure's name-based ids (RFC 9562 §5.5): made once, at random; changing it would change every id. */
const namespace = Buffer.from('6f1c7d0e42b94b0f9d3a5e8c17a2f460', 'hex');

/** What an id is for; different purposes never share an id. */
export type IdPurpose =
  | 'identity'
  | 'request'
  | 'freeze'
  | 'freeze-reviews'
  | 'decision'
  | 'command'
  | 'reconciliation'
  | 'restore'
  | 'mass-revocation';

export interface KeyedBy {
  readonly principal: string;
  /** The Idempotency-Key. */
  readonly key: string;
}

/**
 * The id that a caller's Idempotency-Key stands for: the same principal, key and purpose give the same id on every attempt, in
 * every process, so that a retried POST can only ever meet its own first attempt. Whoever reads it and guesses person and key
 * learns nothing: it is made under a key of the installation.
 * @param personKey the key of pseudonyms, which never changes either, and whose end makes both anonymous
 * @returns 26 characters of a-z and 2-7: 128 bits of HMAC-SHA-256 in base32 (RFC 4648 §6) without padding
 */
export function keyedId(personKey: KeyObject, purpose: IdPurpose, { principal, key }: KeyedBy): string {
  const name = JSON.stringify([principal, key, purpose]);
  return base32(createHmac('sha256', personKey).update('tenure/id\0').update(name, 'utf8').digest().subarray(0, 16));
}

/**
 * The same under no key: of what Tenure does by itself, where the name holds nothing personal, and of callers as it was before
 * ids were keyed.
 * @returns 26 characters of a-z and 2-7: UUIDv5 (RFC 9562) in base32
 */
export function idFromKey(purpose: IdPurpose, { principal, key }: KeyedBy): string {
  // JSON keeps the parts apart: ("a", "bc") and ("ab", "c") are different names.
  return base32(uuidV5(JSON.stringify([principal, key, purpose])));
}

/** The 16 bytes of UUIDv5(namespace, name). */
export function uuidV5(name: string): Buffer {
  const bytes = createHash('sha1').update(namespace).update(name, 'utf8').digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x50, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes;
}

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';

/** An id made of 16 given bytes, in the form of all ids. */
export function idFromBytes(bytes: Buffer): string {
  return base32(bytes.subarray(0, 16));
}

function base32(bytes: Buffer): string {
  let bits = BigInt(`0x${bytes.toString('hex')}`);
  // 128 bits are 25 groups of five and three bits more: pad on the right to 130, as RFC 4648 does.
  bits <<= 2n;
  let text = '';
  for (let group = 0; group < 26; group += 1) {
    text = alphabet.charAt(Number(bits & 31n)) + text;
    bits >>= 5n;
  }
  return text;
}

/** What every identity, request and freeze id looks like. */
export const idPattern = /^[a-z2-7]{26}$/;

/** The id of somebody who first appears by signing in: 26 random characters, so that it tells nothing of them. */
export function personIdFromBytes(bytes: Buffer): string {
  return `person:${idFromBytes(bytes)}`;
}

/** What `personIdFromBytes` makes. Everybody else's id is the e-mail address by which they were known first. */
export const personIdPattern = /^person:[a-z2-7]{26}$/;
