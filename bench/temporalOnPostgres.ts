import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import { stringify } from 'yaml';
import { cacheDirectory } from '../embedded/cacheDirectory.ts';
import { isPortTaken } from '../embedded/ports.ts';
import type { PostgresServer } from '../embedded/postgres.ts';
import { readyOrFailed, type ServerProcess, startServerProcess } from '../embedded/serverProcess.ts';
import { execute } from './installation.ts';

/** The release that runs in production beside what the development server of `embedded/temporalBinary.ts` has. */
const version = 'v1.32.1';

const databases = { default: 'temporal', visibility: 'temporal_visibility' } as const;
const schemas = { default: 'postgresql/v12/temporal', visibility: 'postgresql/v12/visibility' } as const;

/**
 * Starts Temporal's own server, all four services in one process, with its histories in two new databases of this
 * PostgreSQL. Built with Go and kept in Tenure's cache, once per machine.
 * @param directory where its configuration is written: it holds the database password
 */
export async function startTemporalOnPostgres({
  postgres,
  directory,
  say,
}: {
  postgres: PostgresServer;
  directory: string;
  say: (text: string) => void;
}): Promise<{ address: string; stop(): Promise<void> }> {
  const binaries = await builtBinaries(say);
  say('making the schema of the Temporal server');
  for (const which of ['default', 'visibility'] as const) {
    await execute(postgres.url(), `CREATE DATABASE ${databases[which]}`);
    await makeSchema(binaries.sql, postgres, which);
  }
  const file = join(directory, 'temporal.yaml');
  const frontend = await lowPort();
  writeFileSync(file, stringify(await configuration(postgres, frontend)), { mode: 0o600 });
  say('starting the Temporal server');
  const server = await startServerProcess({
    name: 'Temporal',
    command: binaries.server,
    args: ['--config-file', file, '--allow-no-auth', 'start'],
  });
  const address = `127.0.0.1:${frontend}`;
  await readyOrFailed(server, answers(address, server), 120_000);
  return { address, stop: () => server.stop() };
}

async function configuration(postgres: PostgresServer, frontend: number): Promise<object> {
  const service = async (grpcPort?: number) => ({
    rpc: { grpcPort: grpcPort ?? (await lowPort()), membershipPort: await lowPort(), bindOnLocalHost: true },
  });
  const address = `127.0.0.1:${frontend}`;
  const cluster = { enabled: true, initialFailoverVersion: 1, rpcName: 'frontend', rpcAddress: address };
  return {
    log: { stdout: true, level: 'warn' },
    persistence: {
      defaultStore: 'default',
      visibilityStore: 'visibility',
      numHistoryShards: 4,
      datastores: { default: datastore(postgres, 'default'), visibility: datastore(postgres, 'visibility') },
    },
    global: { membership: { maxJoinDuration: '30s', broadcastAddress: '127.0.0.1' } },
    services: {
      frontend: await service(frontend),
      matching: await service(),
      history: await service(),
      worker: await service(),
    },
    clusterMetadata: {
      enableGlobalNamespace: false,
      failoverVersionIncrement: 10,
      masterClusterName: 'active',
      currentClusterName: 'active',
      clusterInformation: { active: cluster },
    },
    dcRedirectionPolicy: { policy: 'noop' },
    archival: { history: { state: 'disabled' }, visibility: { state: 'disabled' } },
    publicClient: { hostPort: address },
  };
}

/** The server's own tables keep ports as signed 16-bit numbers, and the operating system hands out higher ones. */
async function lowPort(): Promise<number> {
  for (;;) {
    const port = randomInt(15_000, 32_000);
    if (!(await isPortTaken(port))) return port;
  }
}

function datastore(postgres: PostgresServer, which: keyof typeof databases): object {
  const { username, password } = new URL(postgres.url());
  return {
    sql: {
      pluginName: 'postgres12',
      databaseName: databases[which],
      connectAddr: `127.0.0.1:${postgres.port}`,
      connectProtocol: 'tcp',
      user: username,
      password,
      maxConns: 20,
      maxIdleConns: 20,
    },
  };
}

async function makeSchema(sql: string, postgres: PostgresServer, which: keyof typeof databases): Promise<void> {
  const { username, password } = new URL(postgres.url());
  const connection = ['--plugin', 'postgres12', '--ep', '127.0.0.1', '--port', String(postgres.port)];
  const steps = [
    ['setup-schema', '-v', '0.0'],
    ['update-schema', '--schema-name', schemas[which]],
  ];
  for (const step of steps)
    await run(sql, [...connection, '--user', username, '--db', databases[which], ...step], {
      // Not on the command line, where everybody on the machine could read it.
      SQL_PASSWORD: password,
    });
}

async function answers(address: string, server: ServerProcess): Promise<void> {
  while (!server.hasEnded()) {
    const connection = Connection.lazy({ address, connectTimeout: '1 second' });
    try {
      await connection.withDeadline(Date.now() + 2000, () => connection.workflowService.listNamespaces({}));
      return;
    } catch {
      // Not up yet. `readyOrFailed` bounds how often this happens.
      await new Promise((resolve) => setTimeout(resolve, 100));
    } finally {
      await connection.close();
    }
  }
}

/** Both programs, from the cache or built into it: some minutes on a machine that never compiled them. */
async function builtBinaries(say: (text: string) => void): Promise<{ server: string; sql: string }> {
  const directory = join(cacheDirectory(), `temporal-server-${version.slice(1)}`);
  const binaries = { server: join(directory, 'server'), sql: join(directory, 'sql') };
  if (existsSync(directory)) return binaries;

  mkdirSync(cacheDirectory(), { recursive: true });
  const draft = mkdtempSync(join(cacheDirectory(), 'temporal-server-draft-'));
  try {
    await build(draft, say);
    // Whoever built them at the same time was as good: a directory appears whole or not at all.
    if (!existsSync(directory)) renameSync(draft, directory);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return binaries;
}

async function build(target: string, say: (text: string) => void): Promise<void> {
  say(`building the Temporal server ${version} with Go: once per machine, some minutes`);
  const startedAt = performance.now();
  const progress = setInterval(
    () => say(`still building, ${Math.round((performance.now() - startedAt) / 1000)} s`),
    15_000,
  );
  try {
    for (const program of ['cmd/server', 'cmd/tools/sql'])
      await run('go', ['install', `go.temporal.io/server/${program}@${version}`], { GOBIN: target, CGO_ENABLED: '0' });
  } finally {
    clearInterval(progress);
  }
}

/** @throws Error with the program's last words unless it ends with 0 */
async function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let words = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      words = `${words}${chunk}`.slice(-2000);
    });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', (cause) =>
      reject(
        new Error(
          `\`${command}\` could not be started (${cause.message}). The bench on a production-shaped Temporal server needs Go 1.26.8 or newer (https://go.dev/dl/).`,
          { cause },
        ),
      ),
    );
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`\`${command} ${args.at(0)} …\` ended with ${code}. Its last words:\n${words}`);
}
