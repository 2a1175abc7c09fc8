import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';

/** What stands before position 0. */
export const chainStart: Buffer = Buffer.alloc(32);

/**
 * The MAC of one entry: HMAC-SHA-256(key, previous MAC || body). Whoever has the database but not the key can neither
 * change an entry, nor put one in, nor take one out of the middle of its chain. `previous` is always 32 bytes, so the
 * boundary to the body is never ambiguous.
 */
export function chainMac(macKey: KeyObject, previous: Uint8Array, body: string): Buffer {
  if (previous.length !== chainStart.length)
    throw new RangeError(`A MAC has 32 bytes; the previous one has ${previous.length}.`);
  return createHmac('sha256', macKey).update(previous).update(body, 'utf8').digest();
}

/** Whether `mac` is the MAC of `body` after `previous`; in constant time. */
export function macHolds(macKey: KeyObject, previous: Uint8Array, body: string, mac: Uint8Array): boolean {
  return mac.length === chainStart.length && timingSafeEqual(chainMac(macKey, previous, body), mac);
}
