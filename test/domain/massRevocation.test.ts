import fc from 'fast-check';
import { expect, test } from 'vitest';
import { roomFor } from '../../domain/massRevocation.ts';

const anyCount = fc.nat({ max: 20_000 });
const anyPace = fc.record({
  concurrency: fc.integer({ min: 1, max: 1000 }),
  perSecond: fc.integer({ min: 1, max: 1000 }),
});
const anyLoad = fc.record({ underWay: anyCount, stuck: anyCount, justBegun: anyCount });

test('no more begin than the limits leave room for, whatever is going on', () => {
  fc.assert(
    fc.property(anyPace, anyLoad, (pace, load) => {
      const room = roomFor(pace, load);
      expect(room).toBeGreaterThanOrEqual(0);
      if (room === 0) return;
      expect(load.underWay + room).toBeLessThanOrEqual(pace.concurrency);
      expect(load.justBegun + room).toBeLessThanOrEqual(pace.perSecond);
    }),
  );
});

test('however many are stuck, the rest goes on, at half of the pace at least', () => {
  fc.assert(
    fc.property(anyPace, anyCount, (pace, stuck) => {
      const room = roomFor(pace, { underWay: 0, stuck, justBegun: 0 });
      expect(room).toBeGreaterThanOrEqual(Math.min(Math.ceil(pace.concurrency / 2), pace.perSecond));
    }),
  );
});

test('a few stuck ones cost no slot; of many, ten cost one', () => {
  const room = (stuck: number) => roomFor({ concurrency: 8, perSecond: 100 }, { underWay: 0, stuck, justBegun: 0 });
  expect([0, 9, 10, 25, 40, 9_000].map(room)).toEqual([8, 8, 7, 6, 4, 4]);
});
