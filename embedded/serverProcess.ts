import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { isAlive } from './processIdentity.ts';

/** How many of its last lines a process that ended by itself is quoted with: a Go program says why above its stack. */
const quotedLines = 40;

export interface ServerProcess {
  /** As error messages call it: "PostgreSQL", "the worker". */
  readonly name: string;
  readonly pid: number;
  /** Resolves when the process has ended, for whatever reason; never rejects. */
  readonly ended: Promise<string>;
  hasEnded(): boolean;
  /** Its last lines of output, newest last. */
  lastLines(): string;
  /** Calls back for each line of output, from now on. */
  onLine(listener: (line: string) => void): void;
  /** Asks it to stop, then, after `graceMs`, kills it. Resolves when it is gone; repeating it is harmless. */
  stop(): Promise<void>;
}

/** A server of ours ended, or never became ready. Its last lines say why. */
export class ServerFailed extends Error {
  override readonly name = 'ServerFailed';
  constructor({ server, what, output }: { server: string; what: string; output: string }) {
    super(`${server} ${what}.${output === '' ? '' : ` Its last lines:\n${output}`}`);
  }
}

export interface ServerProcessOptions {
  name: string;
  command: string;
  args: string[];
  /** All output is appended here too. */
  logFile?: string | undefined;
  /** PostgreSQL calls SIGINT its fast shutdown; everything else of ours stops on SIGTERM. */
  stopSignal?: NodeJS.Signals;
  /** How long `stop` waits before it kills, in milliseconds. */
  graceMs?: number;
  spawnOptions?: Pick<SpawnOptions, 'env' | 'cwd' | 'uid' | 'gid'>;
}

/**
 * Starts a server process in a session of its own, so that Ctrl-C in the terminal reaches only us and we stop it in
 * order. It never outlives this process: when we are killed, it is told to stop.
 * @throws ServerFailed if the command cannot be started at all
 */
export async function startServerProcess(options: ServerProcessOptions): Promise<ServerProcess> {
  const { name, command, args, logFile, stopSignal = 'SIGTERM', graceMs = 15_000, spawnOptions = {} } = options;
  const child = spawn(command, args, {
    ...spawnOptions,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const recent: string[] = [];
  const listeners = new Set<(line: string) => void>();
  const log = logFile === undefined ? undefined : createWriteStream(logFile, { flags: 'a', mode: 0o600 });
  const take = (line: string) => {
    recent.push(line);
    if (recent.length > quotedLines) recent.shift();
    log?.write(`${line}\n`);
    for (const listener of listeners) listener(line);
  };
  for (const stream of [child.stdout, child.stderr])
    if (stream !== null) createInterface({ input: stream }).on('line', take);

  let ending: string | undefined;
  const ended = new Promise<string>((resolve) => {
    child.once('close', (code, signal) => {
      ending = signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`;
      log?.end();
      resolve(ending);
    });
  });
  const pid = await started(child, name);
  const guardian = guard({ pid, signal: stopSignal });
  void ended.then(() => guardian.kill('SIGKILL'));
  return {
    name,
    pid,
    ended,
    hasEnded: () => ending !== undefined,
    lastLines: () => recent.join('\n'),
    onLine: (listener) => {
      listeners.add(listener);
    },
    async stop() {
      if (ending !== undefined) return;
      child.kill(stopSignal);
      const killing = setTimeout(() => child.kill('SIGKILL'), graceMs);
      await ended;
      clearTimeout(killing);
    },
  };
}

/**
 * Ends the server when this process is gone, however it went: the shell waits for the end of a pipe whose other end only
 * we hold, and the operating system closes that even after kill -9.
 */
function guard({ pid, signal }: { pid: number; signal: NodeJS.Signals }): ChildProcess {
  const guardian = spawn('/bin/sh', ['-c', 'read -r _; kill -s "$0" "$1"', signal.replace('SIG', ''), String(pid)], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  // It must not keep us alive: it exists for our end.
  guardian.unref();
  if (guardian.stdin instanceof Socket) guardian.stdin.unref();
  return guardian;
}

function started(child: ChildProcess, name: string): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', (error) =>
      reject(new ServerFailed({ server: name, what: `could not be started: ${error.message}`, output: '' })),
    );
    child.once('spawn', () => {
      if (child.pid !== undefined) resolve(child.pid);
    });
  });
}

/**
 * Waits until `ready` resolves; stops the server and gives up when `ready` rejects, the server ends or `timeoutMs` pass.
 * @throws ServerFailed quoting the server's last lines, or what `ready` rejected with
 */
export async function readyOrFailed(server: ServerProcess, ready: Promise<void>, timeoutMs: number): Promise<void> {
  const timer = Promise.withResolvers<'late'>();
  const timeout = setTimeout(() => timer.resolve('late'), timeoutMs);
  const outcome = await Promise.race([ready.then(() => 'ready' as const), server.ended, timer.promise])
    .catch(async (error: unknown) => {
      await server.stop();
      throw error;
    })
    .finally(() => clearTimeout(timeout));
  if (outcome === 'ready') return;
  const what =
    outcome === 'late' ? `was not ready after ${timeoutMs / 1000} seconds` : `${outcome} before it was ready`;
  const output = server.lastLines();
  await server.stop();
  throw new ServerFailed({ server: server.name, what, output });
}

/** Stops a process that is not our child (left by a start that was killed): asks, waits up to `graceMs`, then kills. */
export async function stopStrayProcess({
  pid,
  signal,
  graceMs,
}: {
  pid: number;
  signal: NodeJS.Signals;
  graceMs: number;
}): Promise<void> {
  process.kill(pid, signal);
  const killAt = performance.now() + graceMs;
  while (isAlive(pid)) {
    if (performance.now() >= killAt) process.kill(pid, 'SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
