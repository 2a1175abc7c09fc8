import { createSecretKey, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { apiKeyDigest, apiKeyPattern, isApiKey, newApiKey } from '../../domain/apiKey.ts';

test('a fresh key has its prefix, the form that scanners look for, and its checksum', () => {
  const keys = Array.from({ length: 50 }, () => newApiKey('acme'));
  expect(new Set(keys).size).toBe(50);
  for (const key of keys) {
    expect(key).toMatch(new RegExp(`^${apiKeyPattern('acme')}$`));
    expect(isApiKey(key, 'acme')).toBe(true);
  }
});

test('the checksum is the CRC-32 of zlib, in base62 with the most significant digit first', () => {
  // crc32("tenure_" and forty zeros) as Python's zlib.crc32 has it.
  const unchecked = `tenure_${'0'.repeat(40)}`;
  expect(isApiKey(`${unchecked}2OadJP`, 'tenure')).toBe(true);
});

test('a key with any one character changed, cut, lengthened, or of another prefix is no key', () => {
  const key = newApiKey('acme');
  for (let place = 5; place < key.length; place += 1) {
    const other = key[place] === 'x' ? 'y' : 'x';
    expect(isApiKey(`${key.slice(0, place)}${other}${key.slice(place + 1)}`, 'acme'), `${place}`).toBe(false);
  }
  for (const text of ['', key.slice(0, -1), `${key}0`, `${key}\n`, key.replace('acme', 'acm3')])
    expect(isApiKey(text, 'acme'), text).toBe(false);
  expect(isApiKey(key, 'other')).toBe(false);
});

test('the digest depends on the key and on the hash key', () => {
  const [one, other] = [createSecretKey(randomBytes(32)), createSecretKey(randomBytes(32))];
  const key = newApiKey('acme');
  expect(apiKeyDigest(key, one)).toEqual(apiKeyDigest(key, one));
  expect(apiKeyDigest(key, one)).not.toEqual(apiKeyDigest(key, other));
  expect(apiKeyDigest(key, one)).not.toEqual(apiKeyDigest(newApiKey('acme'), one));
});
