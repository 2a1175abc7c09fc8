import { createSecretKey } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { chainMac, chainStart, macHolds } from '../../../domain/evidence/macChain.ts';

const key = createSecretKey(Buffer.alloc(32, 1));

test('the MAC is HMAC-SHA-256 over the previous MAC and the body', () => {
  // Computed with Python's hmac module.
  expect(chainMac(key, chainStart, '{}').toString('hex')).toBe(
    '9044b209b55ac7bad0acde9223a4731eb804296c3c4244d2d51c4aec110c715f',
  );
});

test('a chain holds as it was written, and not with an entry changed, dropped, doubled or swapped, nor under another key', () => {
  const bodies = fc.uniqueArray(fc.string(), { minLength: 3, maxLength: 8 });
  fc.assert(
    fc.property(bodies, fc.nat(), (written, seed) => {
      const macs = macsOf(written);
      expect(holds(written, macs)).toBe(true);
      const at = seed % (written.length - 1);
      const swap = <Item>(list: readonly Item[]) => list.with(at, list[at + 1] as Item).with(at + 1, list[at] as Item);
      expect(holds(written.with(at, `${written[at]}!`), macs)).toBe(false);
      expect(holds(written.toSpliced(at, 1), macs.toSpliced(at, 1))).toBe(false);
      expect(holds(written.toSpliced(at, 0, written[at] ?? ''), macs.toSpliced(at, 0, macs[at] ?? chainStart))).toBe(
        false,
      );
      expect(holds(swap(written), swap(macs))).toBe(false);
      expect(macHolds(createSecretKey(Buffer.alloc(32, 2)), chainStart, written[0] ?? '', macs[0] ?? chainStart)).toBe(
        false,
      );
    }),
  );
});

test('a MAC of the wrong length never holds', () => {
  expect(macHolds(key, chainStart, '{}', chainMac(key, chainStart, '{}').subarray(0, 31))).toBe(false);
  expect(() => chainMac(key, Buffer.alloc(0), '{}')).toThrow(RangeError);
});

function macsOf(bodies: readonly string[]): Buffer[] {
  const macs: Buffer[] = [];
  for (const body of bodies) macs.push(chainMac(key, macs.at(-1) ?? chainStart, body));
  return macs;
}

function holds(bodies: readonly string[], macs: readonly Buffer[]): boolean {
  return bodies.every((body, place) =>
    macHolds(key, place === 0 ? chainStart : (macs[place - 1] ?? chainStart), body, macs[place] ?? chainStart),
  );
}
