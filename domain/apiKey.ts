import { createHmac, type KeyObject, randomBytes } from 'node:crypto';

/**
 * API keys of our own: `<prefix>_` and 46 base62 characters, of which 40 are random (238 bits) and 6 are the CRC-32 of
 * everything before them, so that a secret scanner recognises a key and a typing mistake is found without a look-up.
 */

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const randomLength = 40;
const checksumLength = 6;

/** What a prefix may be: letters and digits of a word of its own, so that a scanner's pattern has an edge. */
export const apiKeyPrefixPattern = /^[a-z][a-z0-9]{2,19}$/;

/** For a secret scanner: `tenure_[0-9A-Za-z]{46}`. */
export function apiKeyPattern(prefix: string): string {
  return `${prefix}_[0-9A-Za-z]{${randomLength + checksumLength}}`;
}

/** A fresh key. @param prefix of `apiKeyPrefixPattern` */
export function newApiKey(prefix: string): string {
  const unchecked = `${prefix}_${randomText(randomLength)}`;
  return `${unchecked}${checksumOf(unchecked)}`;
}

/** Whether a text has the form and the checksum of a key with this prefix. Says nothing about who made it. */
export function isApiKey(text: string, prefix: string): boolean {
  if (text.length !== prefix.length + 1 + randomLength + checksumLength) return false;
  if (!new RegExp(`^${apiKeyPattern(prefix)}$`).test(text)) return false;
  return text.slice(-checksumLength) === checksumOf(text.slice(0, -checksumLength));
}

/** What is kept of a key: HMAC-SHA-256 (RFC 2104), 32 bytes. Keys are random, so a slow hash would only slow verification. */
export function apiKeyDigest(key: string, hashKey: KeyObject): Buffer<ArrayBuffer> {
  return Buffer.from(createHmac('sha256', hashKey).update(key, 'utf8').digest());
}

/** Uniform: bytes beyond the last multiple of 62 are thrown away. */
function randomText(length: number): string {
  let text = '';
  while (text.length < length) {
    for (const byte of randomBytes(length)) {
      if (byte < 248 && text.length < length) text += alphabet.charAt(byte % 62);
    }
  }
  return text;
}

function checksumOf(text: string): string {
  let rest = crc32(Buffer.from(text, 'latin1'));
  let digits = '';
  for (let place = 0; place < checksumLength; place += 1) {
    digits = alphabet.charAt(rest % 62) + digits;
    rest = Math.floor(rest / 62);
  }
  return digits;
}

/** CRC-32 as in ISO/IEC 13239 and zlib, reflected. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xff_ff_ff_ff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xed_b8_83_20 : 0);
  }
  return (crc ^ 0xff_ff_ff_ff) >>> 0;
}
