import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type LiveState, orderOfWrite } from '../../../activities/stores/epochOrder.ts';

const state = fc.record({ epoch: fc.nat(4), version: fc.option(fc.nat(2), { nil: null }) });

test('whatever is written in whatever order, epochs never fall, and within one a tombstone is never replaced', () => {
  fc.assert(
    fc.property(fc.array(state, { maxLength: 12 }), (writes) => {
      let live: LiveState | undefined;
      for (const asked of writes) {
        const before = live;
        try {
          if (orderOfWrite({ store: 's', identityId: 'i' }, asked, live) === 'write') live = asked;
          else expect(live).toEqual(asked);
        } catch {
          expect(live).toBe(before);
        }
        if (before === undefined || live === before) continue;
        expect(live?.epoch).toBeGreaterThanOrEqual(before.epoch);
        if (live?.epoch === before.epoch) expect([before.version === null, live.version]).toEqual([false, null]);
      }
    }),
  );
});
