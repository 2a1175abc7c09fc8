import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { isAlive } from '../../embedded/processIdentity.ts';
import type { ServerProcess } from '../../embedded/serverProcess.ts';

/** A server process that is killed, stopped and started again, and otherwise kept running as a supervisor would. */
export interface Service {
  readonly name: string;
  /** Ready, and not stopped. */
  isUp(): boolean;
  /**
   * Resolves when it is ready; a start that fails (what it needs may be away) is repeated for three minutes.
   * @throws ServerFailed of the last start
   */
  start(): Promise<void>;
  /** SIGKILL, to the process and its children at once. False when there was nothing to kill. It stays down until `start`. */
  kill(): Promise<boolean>;
  /** SIGKILL for good, also to one that is starting. */
  end(): Promise<void>;
  /** SIGSTOP, to the process and its children. False when there was nothing to stop. */
  suspend(): boolean;
  /** SIGCONT to all of them; harmless when they do not stand still. */
  wake(): void;
}

const betweenStartsMs = 300;
/** Longer than any process of ours may take that finds everything in order. */
const startedWithinMs = 180_000;

/** @param onDeath told of every end that nobody asked for, and of every start that failed */
export function restartable(
  name: string,
  launch: () => Promise<ServerProcess>,
  onDeath: (how: string) => void,
): Service {
  let current: ServerProcess | undefined;
  let isWanted = false;
  let isSuspended = false;
  let starting: Promise<void> | undefined;

  async function launchUntilReady(): Promise<void> {
    const givesUpAtMs = Date.now() + startedWithinMs;
    while (isWanted && current === undefined) {
      try {
        const launched = await launch();
        current = launched;
        isSuspended = false;
        void launched.ended.then((how) => mend(launched, how));
      } catch (error) {
        if (Date.now() > givesUpAtMs) throw error;
        onDeath(`${name} did not start: ${firstLine(error)}`);
        await delay(betweenStartsMs);
      }
    }
  }

  function mend(ended: ServerProcess, how: string): void {
    if (current !== ended) return;
    current = undefined;
    if (!isWanted) return;
    onDeath(`${name} died by itself: it ${how}; its last lines: ${ended.lastLines()}`);
    begin().catch((error: unknown) => onDeath(`${name} is given up: ${firstLine(error)}`));
  }

  function begin(): Promise<void> {
    starting ??= launchUntilReady().finally(() => {
      starting = undefined;
    });
    return starting;
  }

  return {
    name,
    isUp: () => current !== undefined && !isSuspended,
    start() {
      isWanted = true;
      return begin();
    },
    async kill() {
      const victim = current;
      if (victim === undefined) return false;
      isWanted = false;
      current = undefined;
      await end(victim);
      return true;
    },
    async end() {
      isWanted = false;
      await starting;
      if (current !== undefined) await end(current);
    },
    suspend() {
      if (current === undefined || isSuspended) return false;
      const { pid } = current;
      isSuspended = signal(pid, 'SIGSTOP');
      // Whoever stands still starts no more of them.
      if (isSuspended) for (const child of childrenOf(pid)) signal(child, 'SIGSTOP');
      return isSuspended;
    },
    wake() {
      isSuspended = false;
      if (current === undefined) return;
      for (const pid of [...childrenOf(current.pid), current.pid]) signal(pid, 'SIGCONT');
    },
  };
}

/** PostgreSQL's sessions are processes of their own and would live on for a while: a machine that dies takes them along. */
async function end(victim: ServerProcess): Promise<void> {
  const pids = [victim.pid, ...childrenOf(victim.pid)];
  for (const pid of pids) signal(pid, 'SIGKILL');
  await victim.ended;
  while (pids.some(isAlive)) await delay(5);
}

function childrenOf(pid: number): number[] {
  const file = `/proc/${pid}/task/${pid}/children`;
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8').trim().split(' ').filter(Boolean).map(Number);
}

/** @returns false when the process is gone */
function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false;
    throw error;
  }
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 600).replaceAll('\n', ' | ');
}
