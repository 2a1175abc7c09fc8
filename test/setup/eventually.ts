import { setTimeout as wait } from 'node:timers/promises';

const pollMs = 50;

/**
 * Repeats `check` until it passes; after `patienceMs` its last error is thrown. For conditions that another process
 * brings about: it waits for the fact, never for a time.
 */
export async function eventually<T>(check: () => Promise<T>, patienceMs = 15_000): Promise<T> {
  const endsAtMs = Date.now() + patienceMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() >= endsAtMs) throw error;
      await wait(pollMs);
    }
  }
}
