import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Store } from '../../../activities/stores/store.ts';
import { canaries, rejectionOf } from '../canaries.ts';
import { type FaultProxy, startFaultProxy } from '../faultProxy.ts';
import { randomIdentityId } from '../issuers/issuerContract.ts';

export type ClosableStore = Store & { close(): Promise<void> };

/** What a suite must bring so that its store can be held to the guarantees of activities/stores/store.ts. */
export interface StoreSubject {
  /** The TCP port of 127.0.0.1 at which the real store listens. */
  readonly port: number;
  /** The store under test, with short time-outs: by another port than its own (a proxy's), or with a wrong login of Tenure's own. */
  connect(options?: { port?: number; isOwnLoginWrong?: boolean }): ClosableStore;
  /** Bytes on the wire at which an effect happens, for cutting the connection before and after each. */
  readonly wire: { readonly [effect in Effect]: readonly string[] };
  /** Everything that can still be read of an identity by whoever may read the store, older versions included. */
  readableText(identityId: string): Promise<string>;
  /** Secrets of the set-up itself (Tenure's own login, keys), which nothing may show either. */
  readonly secrets: readonly string[];
  close(): Promise<void>;
}

type Effect = 'stage' | 'promote' | 'quarantine' | 'discard';

/** Defines the tests that every store must pass. */
export function storeContract(name: string, makeSubject: () => Promise<StoreSubject>): void {
  describe(`store ${name}`, () => {
    const shown = canaries();
    const proxies: FaultProxy[] = [];
    const opened: ClosableStore[] = [];
    let subject: StoreSubject;
    let store: ClosableStore;

    beforeAll(async () => {
      subject = await makeSubject();
      for (const secret of subject.secrets) shown.plant(secret);
      store = connect();
    });

    afterAll(async () => {
      await Promise.all(proxies.map((proxy) => proxy.close()));
      // Some of them lead to where nobody answers any more, and may say so.
      await Promise.allSettled(opened.map((each) => each.close()));
      await subject.close();
    });

    function connect(options?: { port?: number; isOwnLoginWrong?: boolean }): ClosableStore {
      const connected = subject.connect(options);
      opened.push(connected);
      return shown.keep(connected);
    }

    async function proxied(): Promise<{ proxy: FaultProxy; through: ClosableStore }> {
      const proxy = await startFaultProxy(subject.port);
      proxies.push(proxy);
      return { proxy, through: connect({ port: proxy.port }) };
    }

    function newValue(version = 1, identityId = randomIdentityId()) {
      return { identityId, version, value: shown.plant(randomBytes(24).toString('base64url')) };
    }

    async function staged(version = 1, identityId = randomIdentityId()) {
      const order = newValue(version, identityId);
      await store.stage(order);
      return order;
    }

    async function promoted(epoch: number, version = 1, identityId = randomIdentityId()) {
      const order = { ...(await staged(version, identityId)), epoch };
      await store.promote(order);
      return order;
    }

    function live({ epoch, version, value }: { epoch: number; version: number; value: string }) {
      return { kind: 'value', epoch, version, value };
    }

    async function refusal(call: Promise<unknown>): Promise<Error> {
      return shown.keep(await rejectionOf(call));
    }

    test('staging returns the value, and repeated staging the first one', async () => {
      const order = newValue();
      expect(await store.stage(order)).toBe(order.value);
      expect(await store.stage(newValue(1, order.identityId))).toBe(order.value);
      expect(await store.readStaged(order)).toBe(order.value);
    });

    test('of many stagings at once all get the same value', async () => {
      const { identityId } = newValue();
      const other = connect();
      const calls = Array.from({ length: 8 }, (_, index) => (index % 2 ? store : other).stage(newValue(1, identityId)));
      expect(new Set(await Promise.all(calls)).size).toBe(1);
    });

    test('versions and identities do not share staged values', async () => {
      const first = await staged();
      const second = await staged(2, first.identityId);
      const other = await staged();
      expect(await Promise.all([first, second, other].map((each) => store.readStaged(each)))).toEqual([
        first.value,
        second.value,
        other.value,
      ]);
    });

    test('values come back byte for byte, whatever is in them', async () => {
      const value = shown.plant(`{"a": "'\\"\\n"} — ключ 🔑 ${'x'.repeat(10_000)}`);
      const order = { ...newValue(), value };
      expect(await store.stage(order)).toBe(value);
      await store.promote({ ...order, epoch: 1 });
      expect(await store.read(order)).toEqual(live({ ...order, epoch: 1 }));
    });

    test('what was never put is undefined', async () => {
      expect(await store.readStaged(newValue())).toBeUndefined();
      expect(await store.read(newValue())).toBeUndefined();
    });

    test('a staged value is not served before it is promoted, and served after', async () => {
      const order = await staged();
      expect(await store.read(order)).toBeUndefined();
      await store.promote({ ...order, epoch: 4 });
      expect(await store.read(order)).toEqual(live({ ...order, epoch: 4 }));
    });

    test('promoting again under the same epoch changes nothing', async () => {
      const order = await promoted(2);
      await store.promote(order);
      await Promise.all([store.promote(order), connect().promote(order)]);
      expect(await store.read(order)).toEqual(live(order));
    });

    test('a rollback under the next epoch serves the old value anew', async () => {
      const first = await promoted(1);
      const second = await promoted(2, 2, first.identityId);
      expect(await store.read(first)).toEqual(live(second));
      await store.promote({ ...first, epoch: 3 });
      expect(await store.read(first)).toEqual(live({ ...first, epoch: 3 }));
    });

    test('a late promote under a lower epoch is refused and undoes nothing', async () => {
      const first = await promoted(1);
      const second = await promoted(2, 2, first.identityId);
      expect((await refusal(store.promote(first))).name).toBe('EpochSuperseded');
      expect(await store.read(first)).toEqual(live(second));
    });

    test('of promotes at once the highest epoch is served', async () => {
      const { identityId } = newValue();
      const versions = [1, 2, 3, 4, 5, 6];
      const orders = await Promise.all(
        versions.map(async (version) => ({ ...(await staged(version, identityId)), epoch: version })),
      );
      const other = connect();
      const outcomes = await Promise.allSettled(
        orders.map((order, index) => (index % 2 ? store : other).promote(order)),
      );
      for (const outcome of outcomes)
        if (outcome.status === 'rejected') expect(shown.keep(outcome.reason).name).toBe('EpochSuperseded');
      expect(outcomes.at(-1)?.status).toBe('fulfilled');
      expect(await store.read({ identityId })).toMatchObject({ epoch: 6, version: 6 });
    });

    test('one epoch never serves two versions', async () => {
      const first = await promoted(3);
      const second = await staged(2, first.identityId);
      expect((await refusal(store.promote({ ...second, epoch: 3 }))).name).toBe('StoreRefused');
      expect(await store.read(first)).toEqual(live(first));
    });

    test('a version that was never staged cannot be promoted', async () => {
      const order = newValue();
      expect((await refusal(store.promote({ ...order, epoch: 1 }))).name).toBe('StagedValueDestroyed');
      expect(await store.read(order)).toBeUndefined();
    });

    test('a quarantined identity serves a tombstone, and none of its live values can be read any more', async () => {
      const first = await promoted(1);
      const second = await promoted(2, 2, first.identityId);
      await store.quarantine({ identityId: first.identityId, epoch: 3 });
      await Promise.all([store.discard(first), store.discard(second)]);
      expect(await store.read(first)).toEqual({ kind: 'tombstone', epoch: 3 });
      const readable = await subject.readableText(first.identityId);
      expect(readable.includes(first.value) || readable.includes(second.value)).toBe(false);
    });

    test('quarantine again changes nothing, and works where nothing was ever served', async () => {
      const { identityId } = newValue();
      await Promise.all([store.quarantine({ identityId, epoch: 2 }), connect().quarantine({ identityId, epoch: 2 })]);
      await store.quarantine({ identityId, epoch: 2 });
      expect(await store.read({ identityId })).toEqual({ kind: 'tombstone', epoch: 2 });
    });

    test('a late promote never replaces a tombstone, under a lower epoch or its own', async () => {
      const order = await staged();
      await store.quarantine({ ...order, epoch: 5 });
      for (const epoch of [4, 5])
        expect((await refusal(store.promote({ ...order, epoch }))).name).toBe('EpochSuperseded');
      expect(await store.read(order)).toEqual({ kind: 'tombstone', epoch: 5 });
    });

    test('a quarantine under the epoch of a value wins over it, under a lower epoch it is refused', async () => {
      const order = await promoted(5);
      expect((await refusal(store.quarantine({ ...order, epoch: 4 }))).name).toBe('EpochSuperseded');
      expect(await store.read(order)).toEqual(live(order));
      await store.quarantine(order);
      expect(await store.read(order)).toEqual({ kind: 'tombstone', epoch: 5 });
    });

    test('a quarantine meeting promotes of lower epochs at once ends in its tombstone', async () => {
      const order = await staged();
      const outcomes = await Promise.allSettled([
        store.promote({ ...order, epoch: 1 }),
        store.quarantine({ ...order, epoch: 3 }),
        connect().promote({ ...order, epoch: 2 }),
      ]);
      expect(outcomes[1].status).toBe('fulfilled');
      expect(await store.read(order)).toEqual({ kind: 'tombstone', epoch: 3 });
    });

    test('a discarded version can neither be read nor staged nor promoted, and discarding again changes nothing', async () => {
      const order = await staged();
      await Promise.all([store.discard(order), connect().discard(order)]);
      await store.discard(order);
      const calls = [store.readStaged(order), store.stage(order), store.promote({ ...order, epoch: 1 })];
      for (const error of await Promise.all(calls.map(refusal))) expect(error.name).toBe('StagedValueDestroyed');
      expect((await subject.readableText(order.identityId)).includes(order.value)).toBe(false);
    });

    test('a version discarded before it was ever staged cannot be staged later', async () => {
      const order = newValue();
      await store.discard(order);
      expect((await refusal(store.stage(order))).name).toBe('StagedValueDestroyed');
      expect((await refusal(store.readStaged(order))).name).toBe('StagedValueDestroyed');
    });

    test('a discard meeting a staging at once leaves nothing staged', async () => {
      const order = newValue();
      const outcomes = await Promise.allSettled([store.stage(order), connect().discard(order)]);
      if (outcomes[0].status === 'rejected') expect(shown.keep(outcomes[0].reason).name).toBe('StagedValueDestroyed');
      expect((await refusal(store.readStaged(order))).name).toBe('StagedValueDestroyed');
    });

    test('discarding a version does not end what is served', async () => {
      const order = await promoted(1);
      await store.discard(order);
      expect(await store.read(order)).toEqual(live(order));
      await store.promote(order);
    });

    test('what the store holds is told identity by identity, and never a value', async () => {
      const served = await promoted(2);
      const second = await staged(2, served.identityId);
      expect(await store.inspect(served)).toEqual({ live: { epoch: 2, version: 1 }, staged: [1, 2] });
      await store.quarantine({ ...served, epoch: 3 });
      await store.discard(served);
      expect(await store.inspect(second)).toEqual({ live: { epoch: 3, version: null }, staged: [2] });
      const { identityId } = newValue();
      expect(await store.inspect({ identityId })).toEqual({ live: undefined, staged: [] });
    });

    test('the list of identities is whole, in byte order, page by page', async () => {
      const made = [await promoted(1), await staged(), await promoted(1)].map(({ identityId }) => identityId);
      const onlyTombstone = newValue().identityId;
      await store.quarantine({ identityId: onlyTombstone, epoch: 1 });
      const ids: string[] = [];
      for (;;) {
        const page = await store.list({ afterIdentityId: ids.at(-1) ?? '', limit: 2 });
        expect(page.length).toBeLessThanOrEqual(2);
        if (page.length === 0) break;
        ids.push(...page);
      }
      expect(ids).toEqual([...new Set(ids)].sort());
      expect(ids).toEqual(expect.arrayContaining([...made, onlyTombstone]));
    });

    async function expectEveryCall(from: ClosableStore, errorName: string): Promise<void> {
      const order = { ...newValue(), epoch: 1 };
      const calls = [
        from.stage(order),
        from.readStaged(order),
        from.promote(order),
        from.quarantine(order),
        from.discard(order),
        from.read(order),
        from.list({ afterIdentityId: '', limit: 10 }),
        from.inspect(order),
      ];
      for (const error of await Promise.all(calls.map(refusal))) {
        expect(error.name).toBe(errorName);
        expect(error.message).toContain(store.name);
      }
      expect(await store.read(order)).toBeUndefined();
      expect(await store.readStaged(order)).toBeUndefined();
    }

    test('a store that refuses connections is unavailable, for every call', async () => {
      const { proxy, through } = await proxied();
      await proxy.close();
      proxies.splice(proxies.indexOf(proxy), 1);
      await expectEveryCall(through, 'StoreUnavailable');
    });

    test('a store that never answers is unavailable within the time-out, for every call', async () => {
      const { proxy, through } = await proxied();
      proxy.silence();
      await expectEveryCall(through, 'StoreUnavailable');
    });

    test('a wrong login of our own is refused, for every call, and nothing is written', async () => {
      await expectEveryCall(connect({ isOwnLoginWrong: true }), 'StoreRefused');
    });

    const effects: readonly Effect[] = ['stage', 'promote', 'quarantine', 'discard'];
    for (const effect of effects) {
      for (const cut of ['cutBefore', 'cutAfter'] as const) {
        test(`${effect} interrupted at each of its writes (${cut}) reports an unknown outcome, and its repetition succeeds`, async () => {
          for (const marker of subject.wire[effect]) {
            const { proxy, through } = await proxied();
            const order = { ...(effect === 'stage' ? newValue() : await promoted(1)), epoch: 2 };
            const run = () => through[effect](order);
            // The login is not what is tested here.
            await through.read(order);
            const interrupted = proxy[cut](marker);
            const [error] = await Promise.all([refusal(run()), interrupted]);
            expect(error.name, marker).toBe('StoreUnavailable');
            await run();
            if (effect === 'stage') expect(await store.readStaged(order)).toBe(order.value);
            if (effect === 'promote') expect(await store.read(order)).toEqual(live(order));
            if (effect === 'quarantine') expect(await store.read(order)).toEqual({ kind: 'tombstone', epoch: 2 });
            if (effect === 'discard')
              expect((await refusal(store.readStaged(order))).name).toBe('StagedValueDestroyed');
            if (effect === 'quarantine') {
              await store.discard(order);
              expect((await subject.readableText(order.identityId)).includes(order.value)).toBe(false);
            }
          }
        });
      }
    }

    test('no secret is in any error, nor in what printing a store shows', () => {
      shown.expectNoneShown();
    });
  });
}
