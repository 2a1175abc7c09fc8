import { setTimeout as delay } from 'node:timers/promises';
import { ServerFailed, type ServerProcess } from './serverProcess.ts';

/** Something that runs as a server process of its own. */
export interface Service<Server extends { readonly process: ServerProcess }> {
  readonly name: string;
  /** Resolves when it is ready to serve. */
  start(): Promise<Server>;
}

export interface SupervisedService {
  readonly name: string;
  /** The process that serves now; undefined while there is none. */
  pid(): number | undefined;
  /** Kills it as a crash would (SIGKILL). It is started again, like after any death that nobody asked for. */
  kill(): Promise<void>;
  /** Stops it for good, until `start`. */
  stop(): Promise<void>;
  /** Starts it again after `stop`; resolves when it is ready. */
  start(): Promise<void>;
  /** Resolves when it is ready to serve, at once if it is. */
  ready(): Promise<void>;
}

export interface Supervision {
  onProgress: (text: string) => void;
  onStarted: (name: string, pid: number) => void;
  /** It died more often than it may. It stays down. */
  onGivenUp: (error: ServerFailed) => void;
  /** Waits between restarts, in milliseconds; as many deaths in a row are forgiven. */
  backoffMs?: readonly number[];
}

/** A service that ran this long, in milliseconds, has its earlier deaths forgotten. */
const steadyMs = 60_000;
const defaultBackoffMs = [500, 1_000, 2_000, 4_000, 8_000];

/**
 * Starts a service and keeps it running: a death that nobody asked for is told, with its last lines, and mended.
 * @returns its handle, and what its first start returned
 * @throws whatever its first start throws: only a service that ran once is mended
 */
export async function supervise<Server extends { readonly process: ServerProcess }>(
  service: Service<Server>,
  supervision: Supervision,
): Promise<{ supervised: SupervisedService; first: Server }> {
  const { onProgress, onStarted, onGivenUp, backoffMs = defaultBackoffMs } = supervision;
  let current: ServerProcess | undefined;
  let stopping = new AbortController();
  let deaths = 0;
  let mending: Promise<void> = Promise.resolve();

  async function launch(): Promise<Server> {
    const server = await service.start();
    const launched = server.process;
    current = launched;
    onStarted(service.name, launched.pid);
    const since = performance.now();
    void launched.ended.then((how) => {
      if (current === launched) current = undefined;
      if (stopping.signal.aborted) return;
      if (performance.now() - since >= steadyMs) deaths = 0;
      mending = mend(new ServerFailed({ server: service.name, what: how, output: launched.lastLines() }));
    });
    return server;
  }

  async function mend(death: ServerFailed): Promise<void> {
    let latest: unknown = death;
    while (!stopping.signal.aborted) {
      const pause = backoffMs[deaths];
      deaths += 1;
      const told = latest instanceof Error ? latest.message : String(latest);
      if (pause === undefined) {
        onGivenUp(new ServerFailed({ server: service.name, what: `failed ${deaths} times in a row`, output: told }));
        return;
      }
      onProgress(`${told}\nStarting ${service.name} again in ${pause / 1000} s (${deaths} of ${backoffMs.length}).`);
      try {
        await delay(pause, undefined, { signal: stopping.signal });
      } catch {
        // Stopped meanwhile: nothing is to be mended any more.
        return;
      }
      try {
        await launch();
        onProgress(`${service.name} runs again.`);
        return;
      } catch (error) {
        latest = error;
      }
    }
  }

  const first = await launch();
  const supervised: SupervisedService = {
    name: service.name,
    pid: () => current?.pid,
    async kill() {
      const victim = current;
      if (victim === undefined) return;
      process.kill(victim.pid, 'SIGKILL');
      await victim.ended;
    },
    async stop() {
      stopping.abort();
      await mending;
      await current?.stop();
    },
    async start() {
      if (!stopping.signal.aborted) return;
      stopping = new AbortController();
      deaths = 0;
      await launch();
    },
    ready: () => mending,
  };
  return { supervised, first };
}
