import { setTimeout as delay } from 'node:timers/promises';

const intervalMs = 200;

/** Whoever waits for a request to change; all of them together cost one read each 200 ms, however many they are. */
export interface LongPolls {
  /**
   * Waits until the request's sequence is above `after`, at most `seconds`, or until the client has gone; ending without a
   * change is no error: the caller answers what is there.
   * @throws what reading the sequences throws
   */
  waitForChange(
    requestId: string,
    until: { readonly after: number; readonly seconds: number; readonly signal: AbortSignal },
  ): Promise<void>;
}

interface Waiter {
  readonly requestId: string;
  readonly after: number;
  readonly end: () => void;
  readonly fail: (error: unknown) => void;
}

/** @param sequencesOf where these requests stand; one that is not there is left out */
export function longPolls(
  sequencesOf: (requestIds: readonly string[]) => Promise<ReadonlyMap<string, number>>,
): LongPolls {
  const waiters = new Set<Waiter>();
  let isLooking = false;

  async function lookWhileSomebodyWaits(): Promise<void> {
    if (isLooking) return;
    isLooking = true;
    while (waiters.size > 0) {
      await delay(intervalMs);
      // Who comes while it is read has seen what was there before, or later.
      const asked = [...waiters];
      try {
        const sequences = await sequencesOf([...new Set(asked.map(({ requestId }) => requestId))]);
        for (const { requestId, after, end } of asked) {
          const now = sequences.get(requestId);
          if (now === undefined || now > after) end();
        }
      } catch (error) {
        for (const { fail } of asked) fail(error);
      }
    }
    isLooking = false;
  }

  return {
    async waitForChange(requestId, { after, seconds, signal }) {
      if (signal.aborted || seconds <= 0) return;
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const waiter = { requestId, after, end: () => resolve(), fail: reject };
      const deadline = setTimeout(waiter.end, seconds * 1000);
      signal.addEventListener('abort', waiter.end);
      waiters.add(waiter);
      void lookWhileSomebodyWaits();
      try {
        await promise;
      } finally {
        clearTimeout(deadline);
        signal.removeEventListener('abort', waiter.end);
        waiters.delete(waiter);
      }
    },
  };
}
