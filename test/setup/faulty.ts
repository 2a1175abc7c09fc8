import { AsyncLocalStorage } from 'node:async_hooks';
import { asyncLocalStorage } from '@temporalio/activity';
import type { Issuer } from '../../activities/issuers/issuer.ts';
import { IssuerUnavailable } from '../../activities/issuers/issuerErrors.ts';
import type { Store } from '../../activities/stores/store.ts';
import { StoreUnavailable } from '../../activities/stores/storeErrors.ts';
import type { RequestEvent } from '../../contracts/events.ts';
import type { Ledger } from '../../ledger/client.ts';
import type { Wraps } from './installationParts.ts';

/**
 * Where a step can be interrupted: `<activity>: <part>.<call>`, as `promote: store.promote`; a ledger transaction names
 * its event too, as `advance(create): ledger.transaction`. Before is before its side effect, after is after it.
 */
export interface Point {
  readonly step: string;
  readonly when: When;
  /** The how-many-th time that this workflow comes there, from 1, since the fault was armed. */
  readonly occurrence: number;
}
export type When = 'before' | 'after';

type Calls<Part> = {
  [K in keyof Part]: Part[K] extends (...order: never[]) => Promise<unknown> ? K : never;
}[keyof Part];

/** Who makes each call of an interface. A method that is missing here does not compile, so none escapes the faults. */
export const issuerCalls: Readonly<Record<Calls<Issuer>, 'effects' | 'reconciler'>> = {
  generateSecret: 'effects',
  create: 'effects',
  extend: 'effects',
  prove: 'effects',
  controlLogin: 'effects',
  destroy: 'effects',
  retireIdentity: 'effects',
  list: 'effects',
  inventory: 'reconciler',
};
export const storeCalls: Readonly<Record<Calls<Store>, 'effects' | 'consumers' | 'reconciler'>> = {
  stage: 'effects',
  readStaged: 'effects',
  promote: 'effects',
  quarantine: 'effects',
  discard: 'effects',
  read: 'consumers',
  list: 'reconciler',
  inspect: 'reconciler',
};

/** Called at each point of one workflow's activities; it may throw, or not come back. */
type Watch = (step: string, when: When) => Promise<void>;

/** Faults of one process, workflow by workflow: put `wraps` around the real parts, then arm. */
export class Faults {
  readonly #watches = new Map<string, Watch[]>();
  readonly #event = new AsyncLocalStorage<RequestEvent>();

  readonly wraps: Required<Wraps> = {
    wrapIssuer: (issuer) => this.#around(issuer, 'issuer', issuerCalls),
    wrapStore: (store) => this.#around(store, 'store', storeCalls),
    wrapLedger: (ledger) => ({ ...ledger, direct: this.#aroundTransactions(ledger.direct) }),
    wrapLedgerActivities: (activities) => ({
      ...activities,
      advance: (input) => this.#event.run(input.event, () => activities.advance(input)),
    }),
  };

  /** Notes every point that the workflow passes, in order. Returns how to stop and what was seen. */
  trace(workflowId: string): () => readonly Point[] {
    const points: Point[] = [];
    const stop = this.#watch(workflowId, async (step, when) => {
      const occurrence = points.filter((point) => point.step === step && point.when === when).length + 1;
      points.push({ step, when, occurrence });
    });
    return () => {
      stop();
      return points;
    };
  }

  /** The call fails there once. `reached` tells when. */
  failOnce(workflowId: string, point: Point): { readonly reached: Promise<void> } {
    const { promise, resolve } = Promise.withResolvers<void>();
    const isThere = counting(point);
    const stop = this.#watch(workflowId, async (step, when) => {
      if (!isThere(step, when)) return;
      stop();
      resolve();
      throw unavailable(step);
    });
    return { reached: promise };
  }

  /** Every call that `isHit` fails with `error`, until it is healed. */
  failUntilHealed(
    workflowId: string,
    isHit: (step: string, when: When) => boolean,
    error: (step: string) => Error = unavailable,
  ): { heal(): void } {
    const stop = this.#watch(workflowId, async (step, when) => {
      if (isHit(step, when)) throw error(step);
    });
    return { heal: stop };
  }

  /** The call hangs there until it is released, and then goes on. */
  hang(workflowId: string, point: Point): { readonly reached: Promise<void>; release(): void } {
    const reached = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    const isThere = counting(point);
    const stop = this.#watch(workflowId, async (step, when) => {
      if (!isThere(step, when)) return;
      stop();
      reached.resolve();
      await released.promise;
    });
    return { reached: reached.promise, release: () => released.resolve() };
  }

  /** From there on nothing that the workflow asks of this process comes back, as if it had died at this point. */
  die(workflowId: string, point: Point): { readonly reached: Promise<void> } {
    const reached = Promise.withResolvers<void>();
    const isThere = counting(point);
    let isDead = false;
    this.#watch(workflowId, async (step, when) => {
      isDead ||= isThere(step, when);
      if (!isDead) return;
      reached.resolve();
      await new Promise<never>(() => undefined);
    });
    return { reached: reached.promise };
  }

  #watch(workflowId: string, watch: Watch): () => void {
    this.#watches.set(workflowId, [...(this.#watches.get(workflowId) ?? []), watch]);
    return () => {
      const others = (this.#watches.get(workflowId) ?? []).filter((other) => other !== watch);
      this.#watches.set(workflowId, others);
    };
  }

  async #pass(at: Activity | undefined, call: string, when: When): Promise<void> {
    if (at === undefined) return;
    for (const watch of this.#watches.get(at.workflowId) ?? []) await watch(`${at.name}: ${call}`, when);
  }

  /** Each of `calls` with its two points; everything else of the part as it is. */
  #around<Part extends object>(part: Part, partName: string, calls: Readonly<Record<string, unknown>>): Part {
    return new Proxy(part, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key);
        if (typeof key !== 'string' || typeof value !== 'function' || !Object.hasOwn(calls, key)) return value;
        return async (...order: unknown[]) => {
          const at = runningActivity();
          await this.#pass(at, `${partName}.${key}`, 'before');
          const result: unknown = await value.apply(target, order);
          await this.#pass(at, `${partName}.${key}`, 'after');
          return result;
        };
      },
    });
  }

  /** Before: all is written and nothing committed. After: committed, and nobody knows. */
  #aroundTransactions(direct: Ledger['direct']): Ledger['direct'] {
    return {
      ...direct,
      transaction: async (opening, work) => {
        const at = this.#transactionOf(runningActivity());
        const result = await direct.transaction(opening, async (tx) => {
          const written = await work(tx);
          await this.#pass(at, 'ledger.transaction', 'before');
          return written;
        });
        await this.#pass(at, 'ledger.transaction', 'after');
        return result;
      },
    };
  }

  #transactionOf(at: Activity | undefined): Activity | undefined {
    const event = this.#event.getStore();
    return at === undefined || event === undefined ? at : { ...at, name: `${at.name}(${occasionOf(event)})` };
  }
}

interface Activity {
  readonly workflowId: string;
  readonly name: string;
}

/** Which workflow's activity is asking; undefined outside of any, as in the lifecycle that a test runs by hand. */
function runningActivity(): Activity | undefined {
  const info = asyncLocalStorage.getStore()?.info;
  const workflowId = info?.workflowExecution?.workflowId;
  return info === undefined || workflowId === undefined ? undefined : { workflowId, name: info.activityType };
}

/** `create` for the event of any create's outcome, else the event's kind. */
function occasionOf(event: RequestEvent): string {
  if (event.kind !== 'effect') return event.kind;
  const step = event.id.slice(event.id.lastIndexOf('/') + 1);
  return step.slice(0, step.lastIndexOf('-'));
}

function counting(point: Point): (step: string, when: When) => boolean {
  let seen = 0;
  return (step, when) => {
    if (step !== point.step || when !== point.when) return false;
    seen += 1;
    return seen === point.occurrence;
  };
}

/** What an unreachable part says; the outcome is unknown to the caller, whether before or after. */
function unavailable(step: string): Error {
  const reason = `the test cut off "${step}"`;
  if (step.includes(': issuer.')) return new IssuerUnavailable('main-db', reason);
  if (step.includes(': store.')) return new StoreUnavailable('sealed', reason);
  return new Error(reason);
}

/** How a point is written in a test's messages. */
export function nameOf({ step, when, occurrence }: Point): string {
  return `${when} ${step}${occurrence === 1 ? '' : ` (${occurrence})`}`;
}
