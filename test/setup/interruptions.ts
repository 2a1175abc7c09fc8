import type { Issuer } from '../../activities/issuers/issuer.ts';
import type { Store } from '../../activities/stores/store.ts';

/** Where a call to the issuer or the store may be stopped: `before` its effect or `after` it, per identity. */
export type Point =
  `${'before' | 'after'} ${'create' | 'extend' | 'destroy' | 'stage' | 'promote' | 'discard' | 'quarantine'}`;

export interface Hold {
  /** Resolves when a call has arrived and waits. */
  readonly reached: Promise<void>;
  /** Lets it go on; resolves when that call has ended, well or not. */
  release(): Promise<void>;
}

export interface Interruptions {
  readonly wrapIssuer: (issuer: Issuer) => Issuer;
  readonly wrapStore: (store: Store) => Store;
  /** The next call at this point waits there, as a worker that lost its breath would, until it is released. */
  hold(point: Point, identityId: string): Hold;
  /** Every call at this point fails with `error`, until the returned function mends it. */
  fail(point: Point, identityId: string, error: Error): () => void;
}

/** Stops and failures at the edge to the real issuer and the real store, and nowhere else. */
export function interruptions(): Interruptions {
  const armed = new Map<string, (whenEnded: (() => void)[]) => Promise<void>>();

  function around<Order extends { identityId: string }, Result>(
    name: string,
    call: (order: Order) => Promise<Result>,
  ): (order: Order) => Promise<Result> {
    return async (order) => {
      const whenEnded: (() => void)[] = [];
      try {
        await armed.get(`before ${name} ${order.identityId}`)?.(whenEnded);
        const result = await call(order);
        await armed.get(`after ${name} ${order.identityId}`)?.(whenEnded);
        return result;
      } finally {
        for (const tell of whenEnded) tell();
      }
    };
  }

  return {
    wrapIssuer: (issuer) => ({
      ...issuer,
      create: around('create', issuer.create),
      destroy: around('destroy', issuer.destroy),
      extend: async (order) => {
        const identityId = order.handle.slice(0, order.handle.lastIndexOf('-v'));
        await around('extend', () => issuer.extend(order))({ identityId });
      },
    }),
    wrapStore: (store) => ({
      ...store,
      stage: around('stage', store.stage),
      promote: around('promote', store.promote),
      discard: around('discard', store.discard),
      quarantine: around('quarantine', store.quarantine),
    }),
    hold(point, identityId) {
      const key = `${point} ${identityId}`;
      const reached = Promise.withResolvers<void>();
      const released = Promise.withResolvers<void>();
      const ended = Promise.withResolvers<void>();
      armed.set(key, (whenEnded) => {
        armed.delete(key);
        whenEnded.push(() => ended.resolve());
        reached.resolve();
        return released.promise;
      });
      return {
        reached: reached.promise,
        release: () => {
          released.resolve();
          return ended.promise;
        },
      };
    },
    fail(point, identityId, error) {
      const key = `${point} ${identityId}`;
      armed.set(key, () => Promise.reject(error));
      return () => armed.delete(key);
    },
  };
}
