import { Connection } from '@temporalio/client';
import { isPortTaken } from './ports.ts';
import { readyOrFailed, ServerFailed, type ServerProcess, startServerProcess } from './serverProcess.ts';

/** The namespace that the development server always makes. */
export const temporalNamespace = 'default';

export interface TemporalServer {
  /** host:port of the gRPC front end. */
  readonly address: string;
  readonly namespace: string;
  readonly process: ServerProcess;
  /** Stops it cleanly; with a file, everything acknowledged is kept. */
  stop(): Promise<void>;
}

export interface TemporalOptions {
  /** The CLI, from `temporalBinary`. */
  binary: string;
  port: number;
  /** Where histories are kept. Without it they live in memory and end with the server. */
  databaseFile?: string;
  logFile?: string;
}

/** The CLI picks ports for its inner services and opens them a moment later: in between another program may. */
const attemptsAtPorts = 3;
const portCollision = /address already in use|failed to assign a free port/;

/**
 * Starts Temporal's development server on 127.0.0.1 and waits until it serves its namespace.
 * @throws ServerFailed with the server's last lines if it does not come up
 */
export async function startTemporal(options: TemporalOptions): Promise<TemporalServer> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startOnce(options);
    } catch (error) {
      const isCollision = error instanceof ServerFailed && portCollision.test(error.message);
      if (!isCollision || attempt === attemptsAtPorts || (await isPortTaken(options.port))) throw error;
    }
  }
}

async function startOnce({ binary, port, databaseFile, logFile }: TemporalOptions): Promise<TemporalServer> {
  const server = await startServerProcess({
    name: 'Temporal',
    command: binary,
    args: [
      ...['server', 'start-dev', '--headless', '--ip', '127.0.0.1', '--port', String(port), '--log-level', 'warn'],
      ...(databaseFile === undefined ? [] : storedIn(databaseFile)),
    ],
    logFile,
    spawnOptions: { env: serverEnvironment() },
  });
  const address = `127.0.0.1:${port}`;
  await readyOrFailed(server, servesNamespace(address, server), 60_000);
  return { address, namespace: temporalNamespace, process: server, stop: () => server.stop() };
}

function storedIn(databaseFile: string): string[] {
  // Plain SQLite commits are about four times slower; WAL with NORMAL still survives the death of the process.
  return [
    '--db-filename',
    databaseFile,
    '--sqlite-pragma',
    'journal_mode=WAL',
    '--sqlite-pragma',
    'synchronous=NORMAL',
  ];
}

/** The CLI would take its address and namespace from TEMPORAL_* variables meant for clients. */
function serverEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('TEMPORAL_')));
}

async function servesNamespace(address: string, server: ServerProcess): Promise<void> {
  while (!server.hasEnded()) {
    const connection = Connection.lazy({ address, connectTimeout: '1 second' });
    try {
      await connection.withDeadline(Date.now() + 1000, () =>
        connection.workflowService.describeNamespace({ namespace: temporalNamespace }),
      );
      return;
    } catch {
      // Not listening yet, or its namespace is not registered yet. `readyOrFailed` bounds how often this happens.
      await new Promise((resolve) => setTimeout(resolve, 50));
    } finally {
      await connection.close();
    }
  }
  // The server ended: `readyOrFailed` says so from its own knowledge of that.
  await new Promise(() => undefined);
}
