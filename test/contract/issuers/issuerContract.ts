import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CreateOrder, InventoryEntry, Issuer } from '../../../activities/issuers/issuer.ts';
import { canaries, rejectionOf } from '../canaries.ts';
import { type FaultProxy, startFaultProxy } from '../faultProxy.ts';

export type ClosableIssuer = Issuer & { close(): Promise<void> };

/** What a suite must bring so that its issuer can be held to the guarantees of activities/issuers/issuer.ts. */
export interface IssuerSubject {
  /** The TCP port of 127.0.0.1 at which the real issuer listens. */
  readonly port: number;
  /** The issuer under test, with short time-outs: by another port than its own (a proxy's), or with a wrong login of Tenure's own. */
  connect(options?: { port?: number; isOwnLoginWrong?: boolean }): ClosableIssuer;
  /** One that exists. */
  readonly scope: string;
  /** Bytes on the wire at which an effect happens, for cutting the connection before and after each. */
  readonly wire: {
    readonly create: readonly string[];
    readonly extend: readonly string[];
    readonly destroy: readonly string[];
  };
  /** Makes a credential named as `handle` would be, but not by this installation. Returns whether it is still as it was. */
  plantForeign(handle: string): Promise<() => Promise<boolean>>;
  /** Secrets of the set-up itself (Tenure's own login), which nothing may show either. */
  readonly secrets: readonly string[];
  close(): Promise<void>;
}

const base32 = 'abcdefghijklmnopqrstuvwxyz234567';

/** 26 characters of lower-case base32, as the ledger makes them. */
export function randomIdentityId(): string {
  return Array.from(randomBytes(26), (byte) => base32.charAt(byte % 32)).join('');
}

export function secondsFromNow(seconds: number): Date {
  return new Date(Date.now() + seconds * 1000);
}

/** Defines the tests that every issuer must pass. */
export function issuerContract(name: string, makeSubject: () => Promise<IssuerSubject>): void {
  describe(`issuer ${name}`, () => {
    const shown = canaries();
    const proxies: FaultProxy[] = [];
    const opened: ClosableIssuer[] = [];
    let subject: IssuerSubject;
    let issuer: ClosableIssuer;

    beforeAll(async () => {
      subject = await makeSubject();
      for (const secret of subject.secrets) shown.plant(secret);
      issuer = connect();
    });

    afterAll(async () => {
      await Promise.all(opened.map((each) => each.close()));
      await Promise.all(proxies.map((proxy) => proxy.close()));
      await subject.close();
    });

    function connect(options?: { port?: number; isOwnLoginWrong?: boolean }): ClosableIssuer {
      const connected = subject.connect(options);
      opened.push(connected);
      return shown.keep(connected);
    }

    async function proxied(): Promise<{ proxy: FaultProxy; through: ClosableIssuer }> {
      const proxy = await startFaultProxy(subject.port);
      proxies.push(proxy);
      return { proxy, through: connect({ port: proxy.port }) };
    }

    async function newOrder(given: Partial<CreateOrder> = {}): Promise<CreateOrder> {
      const identityId = given.identityId ?? randomIdentityId();
      const handle = given.handle ?? `${identityId}-v1`;
      return {
        handle,
        identityId,
        secret: shown.plant(await issuer.generateSecret({ handle })),
        scopes: [subject.scope],
        validUntil: secondsFromNow(300),
        ...given,
      };
    }

    async function created(given: Partial<CreateOrder> = {}): Promise<CreateOrder> {
      const order = await newOrder(given);
      await issuer.create(order);
      return order;
    }

    async function refusal(call: Promise<unknown>): Promise<Error> {
      return shown.keep(await rejectionOf(call));
    }

    async function handlesOf(identityId: string): Promise<string[]> {
      return (await issuer.list({ identityId })).map(({ handle }) => handle);
    }

    test('a created credential is accepted with its secret and refused with any other', async () => {
      const order = await created();
      expect(await issuer.prove(order)).toBe('accepted');
      expect(await issuer.prove({ handle: order.handle, secret: await issuer.generateSecret(order) })).toBe('refused');
    });

    test('generated secrets differ', async () => {
      const { handle } = await newOrder();
      expect(await issuer.generateSecret({ handle })).not.toBe(await issuer.generateSecret({ handle }));
    });

    test('creating again with the same secret changes nothing', async () => {
      const order = await created();
      await issuer.create(order);
      expect(await issuer.prove(order)).toBe('accepted');
      expect(await issuer.list({ identityId: order.identityId })).toEqual([
        {
          handle: order.handle,
          identityId: order.identityId,
          validUntil: issuer.capabilities.expiry ? order.validUntil : undefined,
        },
      ]);
    });

    test('creating an existing handle with another secret is refused, and leaves secret and expiry as they were', async () => {
      const order = await created();
      const other = await newOrder({
        ...order,
        secret: shown.plant(await issuer.generateSecret(order)),
        validUntil: secondsFromNow(600),
      });
      expect((await refusal(issuer.create(other))).name).toBe('HandleNotResumable');
      expect(await issuer.prove(order)).toBe('accepted');
      const [listed] = await issuer.list({ identityId: order.identityId });
      if (issuer.capabilities.expiry) expect(listed?.validUntil).toEqual(order.validUntil);
    });

    test('two creates at once with one secret both succeed and make one credential', async () => {
      const order = await newOrder();
      await Promise.all([issuer.create(order), connect().create(order)]);
      expect(await issuer.prove(order)).toBe('accepted');
      expect(await handlesOf(order.identityId)).toEqual([order.handle]);
    });

    test('of two creates at once with different secrets one wins and the other is not resumable', async () => {
      const orders = await newOrder().then(async (order) => [
        order,
        { ...order, secret: await issuer.generateSecret(order) },
      ]);
      const outcomes = await Promise.allSettled(orders.map((order) => issuer.create(order)));
      const refused = outcomes.flatMap((outcome) =>
        outcome.status === 'rejected' ? [shown.keep(outcome.reason)] : [],
      );
      expect(refused.map((error) => error.name)).toEqual(['HandleNotResumable']);
      const proofs = await Promise.all(orders.map((order) => issuer.prove(order)));
      expect(proofs).toEqual(outcomes.map((outcome) => (outcome.status === 'fulfilled' ? 'accepted' : 'refused')));
    });

    test('two versions of one identity are accepted at once where the issuer says so', async () => {
      const first = await created();
      const second = await created({ identityId: first.identityId, handle: `${first.identityId}-v2` });
      const accepted = issuer.capabilities.overlap ? 'accepted' : 'refused';
      expect([await issuer.prove(first), await issuer.prove(second)]).toEqual([accepted, 'accepted']);
    });

    test('a credential past its expiry is refused until it is extended', async () => {
      const order = await newOrder({ validUntil: secondsFromNow(-1) });
      await issuer.create(order);
      if (issuer.capabilities.expiry) expect(await issuer.prove(order)).toBe('refused');
      await issuer.extend({ handle: order.handle, validUntil: secondsFromNow(300) });
      await issuer.extend({ handle: order.handle, validUntil: secondsFromNow(300) });
      expect(await issuer.prove(order)).toBe('accepted');
    });

    test('creating again resumes a credential whose lease has ended', async () => {
      const order = await created({ validUntil: secondsFromNow(-1) });
      await issuer.create({ ...order, validUntil: secondsFromNow(300) });
      expect(await issuer.prove(order)).toBe('accepted');
    });

    test('a late repeated create never brings an expiry forward', async () => {
      const order = await created();
      const validUntil = secondsFromNow(3_600);
      await issuer.extend({ handle: order.handle, validUntil });
      await issuer.create(order);
      const [listed] = await issuer.list({ identityId: order.identityId });
      if (issuer.capabilities.expiry) expect(listed?.validUntil).toEqual(validUntil);
    });

    test('extending a missing credential is HandleMissing', async () => {
      const { handle } = await newOrder();
      expect((await refusal(issuer.extend({ handle, validUntil: secondsFromNow(300) }))).name).toBe('HandleMissing');
    });

    test('a missing credential is refused, not an error', async () => {
      expect(await issuer.prove(await newOrder())).toBe('refused');
    });

    test('a destroyed credential is refused and listed no more; destroying again, and a missing one, is success', async () => {
      const order = await created();
      await issuer.destroy(order);
      expect(await issuer.prove(order)).toBe('refused');
      expect(await handlesOf(order.identityId)).toEqual([]);
      await issuer.destroy(order);
      await issuer.destroy(await newOrder());
    });

    test('two destroys at once both succeed', async () => {
      const order = await created();
      await Promise.all([issuer.destroy(order), connect().destroy(order)]);
      expect(await handlesOf(order.identityId)).toEqual([]);
    });

    test('destroying one version leaves the other accepted', async () => {
      const first = await created();
      const second = await created({ identityId: first.identityId, handle: `${first.identityId}-v2` });
      await issuer.destroy(first);
      expect([await issuer.prove(first), await issuer.prove(second)]).toEqual(['refused', 'accepted']);
    });

    test('a destroy meeting a create at once leaves the credential whole or gone', async () => {
      const order = await newOrder();
      const outcomes = await Promise.allSettled([issuer.create(order), connect().destroy(order)]);
      for (const outcome of outcomes) if (outcome.status === 'rejected') shown.keep(outcome.reason);
      const isListed = (await handlesOf(order.identityId)).length === 1;
      expect(await issuer.prove(order)).toBe(isListed ? 'accepted' : 'refused');
    });

    test('a credential is not destroyed under another identity', async () => {
      const order = await created();
      const error = await refusal(issuer.destroy({ handle: order.handle, identityId: randomIdentityId() }));
      expect(error.name).toBe('ForeignCredential');
      expect(await issuer.prove(order)).toBe('accepted');
    });

    test('a credential that this installation did not make is not listed and never touched', async () => {
      const order = await newOrder();
      const isUntouched = await subject.plantForeign(order.handle);
      const calls = [() => issuer.create(order), () => issuer.extend(order), () => issuer.destroy(order)];
      for (const call of calls) expect((await refusal(call())).name).toBe('ForeignCredential');
      expect(await handlesOf(order.identityId)).toEqual([]);
      expect(await isUntouched()).toBe(true);
    });

    test('an unknown scope is refused by name and nothing is made', async () => {
      const order = await newOrder({ scopes: [subject.scope, `no-such-scope'"; --`] });
      const error = await refusal(issuer.create(order));
      expect(error.name).toBe('IssuerRefused');
      expect(error.message).toContain('no-such-scope');
      expect(await handlesOf(order.identityId)).toEqual([]);
    });

    test.each([
      '',
      'postgres',
      `x'; DROP ROLE admin; --`,
      `${'a'.repeat(26)}-v0`,
      `${'a'.repeat(200)}-v1`,
      'ａ-v1',
      'a\u0000-v1',
    ])('a handle that is not of our form (%j) is refused before anything happens', async (handle) => {
      const order = { ...(await newOrder()), handle };
      expect((await refusal(issuer.create(order))).name).toBe('IssuerRefused');
      expect((await refusal(issuer.destroy(order))).name).toBe('ForeignCredential');
      expect(await handlesOf(order.identityId)).toEqual([]);
    });

    test('the list of all credentials holds each identity, with its handles only', async () => {
      const [first, second] = [await created(), await created()];
      const handles = (await issuer.list()).map(({ handle }) => handle);
      expect(handles).toEqual(expect.arrayContaining([first.handle, second.handle]));
      expect(await handlesOf(first.identityId)).toEqual([first.handle]);
    });

    test('the inventory holds every credential of ours, whatever is named like one, and says which is which', async () => {
      const ours = [await created(), await created()].map(({ handle }) => handle);
      const foreign = (await newOrder()).handle;
      const isUntouched = await subject.plantForeign(foreign);
      const entries: InventoryEntry[] = [];
      for (;;) {
        const page = await issuer.inventory({ after: entries.at(-1)?.handle ?? '', limit: 2 });
        expect(page.length).toBeLessThanOrEqual(2);
        if (page.length === 0) break;
        entries.push(...page);
      }
      const handles = entries.map(({ handle }) => handle);
      expect(handles).toEqual([...handles].sort());
      const isOurs = new Map(entries.map((entry) => [entry.handle, entry.isOurs]));
      expect([...ours, foreign].map((handle) => isOurs.get(handle))).toEqual([true, true, false]);
      expect(entries.find(({ handle }) => handle === ours[0])?.identityId).toBe(ours[0]?.split('-v')[0]);
      expect(await isUntouched()).toBe(true);
    });

    test('an identity is retired only without credentials, and again without effect', async () => {
      const order = await created();
      expect((await refusal(issuer.retireIdentity(order))).message).toContain(order.handle);
      expect(await issuer.prove(order)).toBe('accepted');
      await issuer.destroy(order);
      await issuer.retireIdentity(order);
      await issuer.retireIdentity(order);
    });

    test('the control login succeeds while the issuer works', async () => {
      await issuer.controlLogin();
    });

    async function expectEveryCallUnavailable(from: ClosableIssuer): Promise<void> {
      const order = await newOrder();
      const calls = [
        from.create(order),
        from.extend(order),
        from.controlLogin(),
        from.destroy(order),
        from.retireIdentity(order),
        from.list(),
        from.inventory({ after: '', limit: 10 }),
      ];
      for (const error of await Promise.all(calls.map(refusal))) {
        expect(error.name).toBe('IssuerUnavailable');
        expect(error.message).toContain(issuer.name);
      }
    }

    test('an issuer that refuses connections is unavailable, for every call', async () => {
      const { proxy, through } = await proxied();
      await proxy.close();
      proxies.splice(proxies.indexOf(proxy), 1);
      await expectEveryCallUnavailable(through);
      expect((await refusal(through.prove(await newOrder()))).name).toBe('IssuerUnavailable');
    });

    test('an issuer that never answers is unavailable within the time-out, for every call', async () => {
      const { proxy, through } = await proxied();
      proxy.silence();
      await expectEveryCallUnavailable(through);
      expect((await refusal(through.prove(await newOrder()))).name).toBe('IssuerUnavailable');
    });

    test('a wrong login of our own makes every call unavailable, never a refused credential', async () => {
      await expectEveryCallUnavailable(connect({ isOwnLoginWrong: true }));
    });

    const effects = ['create', 'extend', 'destroy'] as const;
    const cuts = ['cutBefore', 'cutAfter'] as const;
    for (const effect of effects) {
      for (const cut of cuts) {
        test(`${effect} interrupted at each of its writes (${cut}) reports an unknown outcome, and its repetition succeeds`, async () => {
          for (const marker of subject.wire[effect]) {
            const { proxy, through } = await proxied();
            const order = effect === 'create' ? await newOrder() : await created();
            const run = () => through[effect](order);
            const interrupted = proxy[cut](marker);
            const [error] = await Promise.all([refusal(run()), interrupted]);
            expect(error.name, marker).toBe('IssuerUnavailable');
            await run();
            expect(await issuer.prove(order), marker).toBe(effect === 'destroy' ? 'refused' : 'accepted');
            expect(await handlesOf(order.identityId), marker).toEqual(effect === 'destroy' ? [] : [order.handle]);
          }
        });
      }
    }

    test('no secret is in any error, nor in what printing an issuer shows', () => {
      shown.expectNoneShown();
    });
  });
}
