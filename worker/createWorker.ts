import type { DataConverter } from '@temporalio/common';
import { type NativeConnection, Worker } from '@temporalio/worker';
import type { Activities } from '../contracts/activities.ts';
import { taskQueue } from '../contracts/names.ts';
import { noTraceSinks, type Tracing } from '../observability/tracing.ts';
import { workflowBundle } from './bundle.ts';

/**
 * The worker of the one task queue. Two cores carry it; scale out by starting more processes.
 * @param dataConverter of `configuration/dataConverter.ts`, as every client's
 * @param tracing left out: spans of traced runs are dropped
 * @param activities everything `contracts/activities.ts` names, so that a forgotten one does not compile
 */
export async function createWorker({
  tracing,
  ...options
}: {
  readonly connection: NativeConnection;
  readonly namespace: string;
  readonly dataConverter: DataConverter;
  readonly activities: Activities;
  readonly tracing?: Pick<Tracing, 'worker' | 'sinks'> | undefined;
}): Promise<Worker> {
  return Worker.create({
    ...options,
    taskQueue,
    workflowBundle: await workflowBundle(),
    interceptors: tracing?.worker ?? {},
    sinks: tracing?.sinks ?? noTraceSinks,
    maxCachedWorkflows: 500,
    maxConcurrentActivityTaskExecutions: 50,
    maxConcurrentLocalActivityExecutions: 20,
    // An effect may take 20 s; what is not done by then is repeated by another worker, which every effect allows.
    shutdownGraceTime: '10 seconds',
    shutdownForceTime: '20 seconds',
  });
}
