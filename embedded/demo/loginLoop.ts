import { setTimeout as wait } from 'node:timers/promises';
import pg from 'pg';
import type { ApiClient } from './apiClient.ts';

export interface ServedSecret {
  readonly version: number;
  readonly epoch: number;
  readonly login: string;
  readonly value: string;
}

export interface LoginLoop {
  /** Logins that succeeded so far, by version. */
  readonly succeeded: ReadonlyMap<number, number>;
  /** The first login that failed ends the loop. */
  readonly failure: Error | undefined;
  stop(): Promise<void>;
}

const everyMs = 20;

/** What an application does: reads the secret, logs in with it, over and over, each 20 ms. */
export function startLoginLoop(consumer: ApiClient, identityId: string, applicationUrl: string): LoginLoop {
  const succeeded = new Map<number, number>();
  const ending = new AbortController();
  const state: { failure: Error | undefined } = { failure: undefined };
  const running = (async () => {
    while (!ending.signal.aborted) {
      const beganMs = Date.now();
      try {
        const secret = await consumer.get<ServedSecret>(`/v1/identities/${identityId}/secret`);
        await login(applicationUrl, secret);
        succeeded.set(secret.version, (succeeded.get(secret.version) ?? 0) + 1);
      } catch (error) {
        state.failure = error instanceof Error ? error : new Error(String(error));
        return;
      }
      await wait(Math.max(0, everyMs - (Date.now() - beganMs)));
    }
  })();
  return {
    succeeded,
    get failure() {
      return state.failure;
    },
    async stop() {
      ending.abort();
      await running;
    },
  };
}

/** A real login. @throws the driver's error when PostgreSQL refuses it */
export async function login(applicationUrl: string, { login: user, value }: ServedSecret): Promise<void> {
  const url = new URL(applicationUrl);
  url.username = encodeURIComponent(user);
  url.password = encodeURIComponent(value);
  const client = new pg.Client({ connectionString: url.href, connectionTimeoutMillis: 5_000 });
  try {
    await client.connect();
    await client.query('SELECT 1');
  } finally {
    await client.end().catch(() => undefined);
  }
}
