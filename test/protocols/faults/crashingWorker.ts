import { Faults, type Point } from '../../setup/faulty.ts';
import { type InstallationPlace, installationParts } from '../../setup/installationParts.ts';

/**
 * A worker in a process of its own, wired like `worker/main.ts`. Each workflow it is told of stops dead at its point; when
 * the last one has come there, the process kills itself. So one SIGKILL finds every one of them exactly where it should.
 */
export interface CrashOrder {
  readonly place: InstallationPlace;
  readonly deaths: readonly WorkflowPoint[];
  /** Where a workflow hangs meanwhile, so that something else can happen to it first. */
  readonly hangs: readonly WorkflowPoint[];
}

export interface WorkflowPoint {
  readonly workflowId: string;
  readonly point: Point;
}

export type CrashReport =
  | { readonly is: 'ready' }
  | { readonly is: 'hanging'; readonly workflowId: string }
  | { readonly is: 'dead'; readonly workflowId: string };

process.once('disconnect', () => process.exit(1));
process.once('message', (order) => void run(order as CrashOrder));

async function run({ place, deaths, hangs }: CrashOrder): Promise<void> {
  const faults = new Faults();
  for (const { workflowId, point } of hangs)
    void faults.hang(workflowId, point).reached.then(() => report({ is: 'hanging', workflowId }));
  const dead = deaths.map(async ({ workflowId, point }) => {
    await faults.die(workflowId, point).reached;
    report({ is: 'dead', workflowId });
  });
  void Promise.all(dead).then(() => process.kill(process.pid, 'SIGKILL'));
  const parts = await installationParts(place, faults.wraps);
  await parts.startWorker();
  report({ is: 'ready' });
}

function report(what: CrashReport): void {
  process.send?.(what);
}
