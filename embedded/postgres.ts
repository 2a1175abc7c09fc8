import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { type PostgresBinaries, postgresBinaries } from './postgresBinaries.ts';
import { keptSecret, privateDirectory, readFileIfThere, writePrivateFile } from './privateFiles.ts';
import { commandLine, isAlive } from './processIdentity.ts';
import { readyOrFailed, type ServerProcess, startServerProcess, stopStrayProcess } from './serverProcess.ts';
import { canReach, letPass, type UnprivilegedUser, unprivilegedUser } from './unprivilegedUser.ts';

/** Where the cluster goes when our own directories keep PostgreSQL's user out. */
const sharedClusters = '/var/lib/tenure';

export interface PostgresServer {
  readonly port: number;
  readonly process: ServerProcess;
  /** A superuser's URL to one database, `postgres` unless named. It holds the password: never log it. */
  url(database?: string): string;
  /** Stops it at once but cleanly (SIGINT, "fast shutdown"): sessions end, nothing needs recovery. */
  stop(): Promise<void>;
}

export interface PostgresOptions {
  /**
   * Holds the superuser's password (0600) and the cluster. Made if absent. Under root the cluster needs an account that
   * is not root: where that one may not enter (see `admitDatabaseUser`), the cluster goes to /var/lib/tenure.
   */
  directory: string;
  port: number;
  logFile?: string;
  /** False gives up surviving a power cut for speed: for tests, which throw the cluster away. */
  isDurable?: boolean;
}

/**
 * Starts a real PostgreSQL on 127.0.0.1, making the cluster on the first call: UTF-8, code-point order whatever the
 * machine's locale, SCRAM-SHA-256 over TCP for everybody and no other way in. A cluster whose server was killed is
 * recovered; a server left running by a start that was killed is stopped first.
 * @throws ServerFailed with PostgreSQL's own words if it does not come up
 */
export async function startPostgres({
  directory,
  port,
  logFile,
  isDurable = true,
}: PostgresOptions): Promise<PostgresServer> {
  const user = unprivilegedUser();
  const binaries = postgresBinaries(user);
  privateDirectory(directory);
  const password = keptSecret(join(directory, 'password'), () => randomBytes(24).toString('base64url'));
  const cluster = clusterDirectory(directory, user);
  if (!existsSync(join(cluster, 'PG_VERSION'))) makeCluster({ cluster, password, binaries, user });
  await stopStrayServer(cluster);

  const server = await startServerProcess({
    name: 'PostgreSQL',
    command: binaries.postgres,
    args: ['-D', cluster, '-p', String(port), ...settings(isDurable).flatMap((setting) => ['-c', setting])],
    logFile,
    stopSignal: 'SIGINT',
    spawnOptions: { ...user, cwd: '/', env: serverEnvironment() },
  });
  const url = (database = 'postgres') =>
    `postgresql://postgres:${password}@127.0.0.1:${port}/${encodeURIComponent(database)}`;
  await readyOrFailed(server, saysReady(server), 60_000);
  await readyOrFailed(server, login(url()), 10_000);
  return { port, process: server, url, stop: () => server.stop() };
}

function settings(isDurable: boolean): string[] {
  return [
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'password_encryption=scram-sha-256',
    'max_connections=200',
    'timezone=UTC',
    'log_timezone=UTC',
    ...(isDurable ? [] : ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off']),
  ];
}

/** PostgreSQL also listens to PG* variables and the locale of whoever starts it. */
function serverEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], LC_ALL: 'C' };
}

function clusterDirectory(directory: string, user: UnprivilegedUser | undefined): string {
  const inside = join(directory, 'cluster');
  if (user === undefined) return inside;
  const moved = readFileIfThere(join(directory, 'cluster-location'));
  if (moved !== undefined) return moved;
  letPass(user, directory);
  if (canReach(user, directory)) return inside;
  const outside = join(sharedClusters, randomBytes(8).toString('hex'));
  mkdirSync(sharedClusters, { recursive: true, mode: 0o711 });
  writePrivateFile(join(directory, 'cluster-location'), outside);
  return outside;
}

/** initdb writes PG_VERSION first, so an interrupted one would look finished: it works elsewhere and is moved here. */
function makeCluster({
  cluster,
  password,
  binaries,
  user,
}: {
  cluster: string;
  password: string;
  binaries: PostgresBinaries;
  user: UnprivilegedUser | undefined;
}): void {
  const draft = `${cluster}.unfinished`;
  const passwordFile = `${cluster}.initial-password`;
  rmSync(draft, { recursive: true, force: true });
  privateDirectory(draft);
  writePrivateFile(passwordFile, `${password}\n`);
  if (user !== undefined) for (const path of [draft, passwordFile]) chownSync(path, user.uid, user.gid);
  const made = spawnSync(
    binaries.initdb,
    [
      `--pgdata=${draft}`,
      '--username=postgres',
      `--pwfile=${passwordFile}`,
      '--encoding=UTF8',
      '--no-locale',
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
      '--auth-host=scram-sha-256',
      '--auth-local=reject',
      '--no-instructions',
    ],
    { ...user, cwd: '/', env: serverEnvironment(), encoding: 'utf8' },
  );
  rmSync(passwordFile);
  if (made.status !== 0) {
    throw new Error(
      `PostgreSQL could not make its cluster in ${cluster}: ${made.error?.message ?? made.stderr.trim()}`,
    );
  }
  renameSync(draft, cluster);
}

/** A dead server's postmaster.pid is PostgreSQL's own to clear; one that still runs on this cluster is ended here. */
async function stopStrayServer(cluster: string): Promise<void> {
  const pidFile = join(cluster, 'postmaster.pid');
  const pid = Number.parseInt(readFileIfThere(pidFile) ?? '', 10);
  if (!Number.isInteger(pid)) return;
  if (isAlive(pid) && commandLine(pid)?.includes(cluster)) {
    await stopStrayProcess({ pid, signal: 'SIGINT', graceMs: 15_000 });
    return;
  }
  // The id now belongs to some other program, which would make PostgreSQL refuse to start.
  if (isAlive(pid)) rmSync(pidFile, { force: true });
}

function saysReady(server: ServerProcess): Promise<void> {
  return new Promise((resolve) => {
    server.onLine((line) => {
      if (line.includes('database system is ready to accept connections')) resolve();
    });
  });
}

/** Proves that the kept password is the cluster's. */
async function login(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  try {
    await client.connect();
    await client.query('SELECT 1');
  } finally {
    await client.end();
  }
}
