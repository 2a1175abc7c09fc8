import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { TestInstallation } from '../../setup/installation.ts';
import type { CrashOrder, CrashReport, WorkflowPoint } from './crashingWorker.ts';

export interface CrashingWorker {
  /** Resolves when this workflow hangs where it was told to. */
  hangs(workflowId: string): Promise<void>;
  /** Resolves when the process has killed itself; rejects when it ended in any other way. */
  readonly killed: Promise<void>;
  /** Workflows that have not come to their point. */
  readonly alive: ReadonlySet<string>;
  /** Ends it wherever it is. */
  stop(): void;
}

const entry = fileURLToPath(new URL('./crashingWorker.ts', import.meta.url));

/** Starts a worker that dies once every workflow of `deaths` has come to its point. Returns when it is at work. */
export async function startCrashingWorker(
  { place }: Pick<TestInstallation, 'place'>,
  { deaths, hangs = [] }: { deaths: readonly WorkflowPoint[]; hangs?: readonly WorkflowPoint[] },
): Promise<CrashingWorker> {
  const child = fork(entry, { execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const ready = Promise.withResolvers<void>();
  const killed = Promise.withResolvers<void>();
  const hanging = new Map(hangs.map(({ workflowId }) => [workflowId, Promise.withResolvers<void>()]));
  const alive = new Set(deaths.map(({ workflowId }) => workflowId));
  child.on('message', (message) => {
    const report = message as CrashReport;
    if (report.is === 'ready') ready.resolve();
    else if (report.is === 'hanging') hanging.get(report.workflowId)?.resolve();
    else alive.delete(report.workflowId);
  });
  child.once('exit', (code, signal) => {
    const ended = new Error(`the worker ended by ${signal ?? code}`);
    ready.reject(ended);
    if (signal === 'SIGKILL') killed.resolve();
    else killed.reject(ended);
  });
  child.send({ place, deaths, hangs } satisfies CrashOrder);
  await ready.promise;
  return {
    hangs: (workflowId) => hanging.get(workflowId)?.promise ?? Promise.resolve(),
    killed: killed.promise,
    alive,
    stop: () => void child.kill('SIGKILL'),
  };
}
