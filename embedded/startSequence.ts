import type { ProcessRecord } from './processRecord.ts';
import type { ServerProcess } from './serverProcess.ts';
import { type Service, type SupervisedService, supervise } from './supervisor.ts';

/** Starts one thing after the other, tells how long each took, and can stop all of them in the opposite order. */
export interface StartSequence {
  /** Runs one step and tells it when it is done. @throws the signal's reason instead of running it, once aborted */
  step<T>(what: string, work: () => Promise<T>): Promise<T>;
  /** Starts a service under supervision, as part of a step. */
  run<Server extends { readonly process: ServerProcess }>(service: Service<Server>): Promise<Server>;
  /** Where the processes started from now on are noted. */
  recordIn(record: ProcessRecord): void;
  /** What `stop` is to do about something just started. */
  undoWith(undo: () => Promise<void>): void;
  /** @throws Error listing the services if there is none of that name */
  service(name: string): SupervisedService;
  /** Resolves, with the reason, if a service died too often to be mended. */
  readonly broken: Promise<Error>;
  /** Stops the latest first. Also when one refuses, the rest is stopped; then that error is thrown. Repeatable. */
  stop(): Promise<void>;
}

export function startSequence({
  onProgress,
  signal,
}: {
  onProgress: (line: string) => void;
  signal: AbortSignal | undefined;
}): StartSequence {
  const undos: (() => Promise<void>)[] = [];
  const services = new Map<string, SupervisedService>();
  const broken = Promise.withResolvers<Error>();
  let record: ProcessRecord | undefined;
  return {
    recordIn(chosen) {
      record = chosen;
    },
    async step(what, work) {
      signal?.throwIfAborted();
      const since = performance.now();
      const result = await work();
      onProgress(`${what} (${((performance.now() - since) / 1000).toFixed(1)} s)`);
      return result;
    },
    async run(service) {
      const { supervised, first } = await supervise(service, {
        onProgress,
        onStarted: (name, pid) => record?.note(name, pid),
        onGivenUp: broken.resolve,
      });
      services.set(service.name, supervised);
      undos.push(() => supervised.stop());
      return first;
    },
    undoWith(undo) {
      undos.push(undo);
    },
    service(name) {
      const service = services.get(name);
      if (service !== undefined) return service;
      throw new Error(`No service "${name}". There are: ${[...services.keys()].join(', ')}.`);
    },
    broken: broken.promise,
    async stop() {
      const refusals: unknown[] = [];
      for (let undo = undos.pop(); undo !== undefined; undo = undos.pop()) {
        await undo().catch((error: unknown) => refusals.push(error));
      }
      if (refusals.length > 0) throw new AggregateError(refusals, 'Not everything could be stopped.');
    },
  };
}
