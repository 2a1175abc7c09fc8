import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../embedded/ports.ts';
import { type PostgresServer, startPostgres } from '../embedded/postgres.ts';
import { startTemporal } from '../embedded/temporal.ts';
import { temporalBinary } from '../embedded/temporalBinary.ts';
import { admitDatabaseUser } from '../embedded/unprivilegedUser.ts';
import { startTemporalOnPostgres } from './temporalOnPostgres.ts';

/** The servers that rows measure on. Each is started when the first row asks for it. */
export interface Ground {
  /** A superuser's URL to the database `postgres`. It holds the password: never log it. */
  postgresUrl(): Promise<string>;
  /** host:port */
  temporalAddress(): Promise<string>;
  /** Progress, in words. */
  say(text: string): void;
}

export type TemporalKind = 'development' | 'postgres';

export interface OwnGround extends Ground {
  stop(): Promise<void>;
}

/**
 * PostgreSQL that survives power cuts, as in production, and either Temporal's development server as `tenure up` runs it
 * (SQLite in a file) or the server of production on that PostgreSQL. Everything is thrown away by `stop`.
 */
export function ownGround({ temporal, say }: { temporal: TemporalKind; say: (text: string) => void }): OwnGround {
  const directory = mkdtempSync(join(tmpdir(), 'tenure-bench-'));
  admitDatabaseUser(directory);
  const stops: (() => Promise<void>)[] = [];

  const postgres = once(async (): Promise<PostgresServer> => {
    say('starting PostgreSQL');
    const server = await startPostgres({ directory: join(directory, 'postgres'), port: await freePort() });
    stops.push(() => server.stop());
    return server;
  });
  const address = once(async () => {
    if (temporal === 'postgres') {
      const server = await startTemporalOnPostgres({ postgres: await postgres(), directory, say });
      stops.push(() => server.stop());
      return server.address;
    }
    say("starting Temporal's development server");
    const server = await startTemporal({
      binary: await temporalBinary(say),
      port: await freePort(),
      databaseFile: join(directory, 'temporal.db'),
    });
    stops.push(() => server.stop());
    return server.address;
  });

  return {
    postgresUrl: async () => (await postgres()).url(),
    temporalAddress: address,
    say,
    async stop() {
      // In reverse, since Temporal may stand on PostgreSQL.
      for (const stop of stops.splice(0).reverse()) await stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function once<T>(start: () => Promise<T>): () => Promise<T> {
  let started: Promise<T> | undefined;
  return () => {
    started ??= start();
    return started;
  };
}
