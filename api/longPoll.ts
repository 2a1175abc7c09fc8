import { setTimeout as delay } from 'node:timers/promises';

const intervalMs = 200;

/**
 * Waits until `sequence()` is above `after`, at most `seconds`, or until the client has gone. Costs one read by key each
 * 200 ms; ending without a change is no error: the caller answers what is there.
 */
export async function waitForChange(
  sequence: () => Promise<number | undefined>,
  { after, seconds, signal }: { after: number; seconds: number; signal: AbortSignal },
): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  while (!signal.aborted && performance.now() < deadline) {
    const now = await sequence();
    if (now === undefined || now > after) return;
    await delay(Math.min(intervalMs, Math.max(0, deadline - performance.now())));
  }
}
