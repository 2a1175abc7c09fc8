import { createSecretKey } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { idFromKey, idPattern, keyedId, uuidV5 } from '../../domain/ids.ts';

const anyKey = fc.record({ principal: fc.string({ maxLength: 60 }), key: fc.string({ maxLength: 60 }) });

test('the same principal, key and purpose give the same id on every attempt', () => {
  fc.assert(
    fc.property(anyKey, (call) => {
      expect(idFromKey('request', call)).toBe(idFromKey('request', { ...call }));
      expect(idFromKey('request', call)).toMatch(idPattern);
    }),
  );
});

test('a request and its identity never share an id', () => {
  fc.assert(
    fc.property(anyKey, (call) => {
      expect(idFromKey('request', call)).not.toBe(idFromKey('identity', call));
    }),
  );
});

test('moving a character from the principal to the key gives another id', () => {
  expect(idFromKey('request', { principal: 'ann@example.com', key: 'bc' })).not.toBe(
    idFromKey('request', { principal: 'ann@example.comb', key: 'c' }),
  );
  expect(idFromKey('request', { principal: 'a","b', key: 'c' })).not.toBe(
    idFromKey('request', { principal: 'a', key: 'b","c' }),
  );
});

test('ids are version 5 UUIDs of the RFC 9562 variant', () => {
  const bytes = uuidV5('anything');
  expect(bytes.readUInt8(6) >> 4).toBe(5);
  expect(bytes.readUInt8(8) >> 6).toBe(0b10);
});

test('an id once given stays the same over releases', () => {
  expect(idFromKey('request', { principal: 'ann@example.com', key: 'first' })).toMatchInlineSnapshot(
    `"qsch47vxnzj47kmpqx6qtfacpi"`,
  );
});

test('an id that is keyed is the same on every attempt and over releases, another under any other key, and none that can be guessed', () => {
  const key = createSecretKey(Buffer.alloc(32, 1));
  const other = createSecretKey(Buffer.alloc(32, 2));
  fc.assert(
    fc.property(anyKey, (call) => {
      const id = keyedId(key, 'request', call);
      expect(id).toMatch(idPattern);
      expect(keyedId(key, 'request', { ...call })).toBe(id);
      expect([
        keyedId(key, 'identity', call),
        keyedId(other, 'request', call),
        idFromKey('request', call),
      ]).not.toContain(id);
    }),
  );
  expect(keyedId(key, 'request', { principal: 'ann@example.com', key: 'first' })).toMatchInlineSnapshot(
    `"phphhbiwvyk3gqwg5thxs74nrq"`,
  );
});
