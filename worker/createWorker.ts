import type { DataConverter, WorkerDeploymentVersion } from '@temporalio/common';
import { type NativeConnection, Worker, type WorkerDeploymentOptions } from '@temporalio/worker';
import type { Activities } from '../contracts/activities.ts';
import { taskQueue } from '../contracts/names.ts';
import { noTraceSinks, type Tracing } from '../observability/tracing.ts';
import { workflowBundle } from './bundle.ts';
import { heartbeats } from './heartbeats.ts';

/**
 * The worker of the one task queue. Two cores carry it; scale out by starting more processes.
 * @param dataConverter of `configuration/dataConverter.ts`, as every client's
 * @param version of `deploymentVersion.ts`; Temporal gives it work once it is current (`deploymentRouting.ts`). Left out:
 *   unversioned, for tests of the hand-over from workers of before versions
 * @param tracing left out: spans of traced runs are dropped
 * @param activities everything `contracts/activities.ts` names, so that a forgotten one does not compile
 */
export async function createWorker({
  tracing,
  version,
  ...options
}: {
  readonly connection: NativeConnection;
  readonly namespace: string;
  readonly dataConverter: DataConverter;
  readonly activities: Activities;
  readonly version?: WorkerDeploymentVersion;
  readonly tracing?: Pick<Tracing, 'worker' | 'sinks'> | undefined;
}): Promise<Worker> {
  return Worker.create({
    ...options,
    taskQueue,
    workflowBundle: await workflowBundle(),
    ...(version === undefined ? {} : { workerDeploymentOptions: versioned(version) }),
    interceptors: { ...tracing?.worker, activity: [...(tracing?.worker.activity ?? []), heartbeats] },
    sinks: tracing?.sinks ?? noTraceSinks,
    maxCachedWorkflows: 500,
    maxConcurrentActivityTaskExecutions: 50,
    maxConcurrentLocalActivityExecutions: 20,
    // An effect may take 20 s; what is not done by then is repeated by another worker, which every effect allows.
    shutdownGraceTime: '10 seconds',
    shutdownForceTime: '20 seconds',
  });
}

/** Each workflow says for itself how it moves between versions; one that forgets goes on with the newest. */
function versioned(version: WorkerDeploymentVersion): WorkerDeploymentOptions {
  return { version, useWorkerVersioning: true, defaultVersioningBehavior: 'AUTO_UPGRADE' };
}
