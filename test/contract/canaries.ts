import { inspect } from 'node:util';
import { expect } from 'vitest';

/** Remembers secrets and everything that may have been shown to somebody, and finds the one in the other (promise 8). */
export interface Canaries {
  /** Returns the secret, for use in place. */
  plant(secret: string): string;
  /** Keeps what a call threw (or gave) for the search; returns it. */
  keep<T>(shown: T): T;
  expectNoneShown(): void;
}

export function canaries(): Canaries {
  const secrets = new Set<string>();
  const shown: unknown[] = [];
  return {
    plant(secret) {
      secrets.add(secret);
      return secret;
    },
    keep(value) {
      shown.push(value);
      return value;
    },
    expectNoneShown() {
      expect(secrets.size).toBeGreaterThan(0);
      expect(shown.length).toBeGreaterThan(0);
      const text = shown.map(everythingOf).join('\n');
      for (const secret of secrets) expect(text.includes(secret), 'a secret was shown').toBe(false);
    },
  };
}

/** As a logger would print it, as JSON would carry it, and with every hidden property. */
function everythingOf(value: unknown): string {
  const asJson = JSON.stringify(value, (_key, part) =>
    part instanceof Error ? { ...part, message: part.message, stack: part.stack, cause: part.cause } : part,
  );
  return [String(value), asJson, inspect(value, { depth: Infinity, showHidden: true, maxStringLength: Infinity })].join(
    '\n',
  );
}

/** What a call threw; fails the test when it did not. */
export async function rejectionOf(call: Promise<unknown>): Promise<Error> {
  try {
    await call;
  } catch (error) {
    if (error instanceof Error) return error;
    throw new Error('Something was thrown that is no Error.', { cause: error });
  }
  throw new Error('The call was expected to be refused, and succeeded.');
}
