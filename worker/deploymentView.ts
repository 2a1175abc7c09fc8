import { isGrpcServiceError, type WorkflowService } from '@temporalio/client';
import { optionalTsToDate } from '@temporalio/common/lib/time.js';
import proto from '@temporalio/proto';
import { taskQueue } from '../contracts/names.ts';

const { TaskQueueType, WorkerDeploymentVersionStatus, WorkerVersioningMode } = proto.temporal.api.enums.v1;
type Summary = proto.temporal.api.deployment.v1.WorkerDeploymentInfo.IWorkerDeploymentVersionSummary;

/** Temporal's words. Draining: open pinned workflows still need its workers. Drained: they can be stopped. */
export type VersionStatus = 'created' | 'inactive' | 'current' | 'ramping' | 'draining' | 'drained' | 'unknown';

export interface VersionView {
  readonly buildId: string;
  readonly status: VersionStatus;
  /** RFC 3339: since when it has this status, as far as Temporal tells. */
  readonly since?: string;
  /**
   * Workers that asked for workflow tasks in the last five minutes, as far as the first partition of the task queue has seen
   * them: one that stopped may still count, and of many some may not.
   */
  readonly pollers: number;
}

export interface DeploymentView {
  readonly deploymentName: string;
  readonly namespace: string;
  /** Left out: the unversioned workers get the work. */
  readonly currentBuildId?: string;
  /** Whether any version has ever been current, the unversioned workers after it included. */
  readonly wasEverDecided: boolean;
  readonly ramping?: { readonly buildId: string; readonly percentage: number };
  /** The newest first. */
  readonly versions: readonly VersionView[];
  readonly unversionedPollers: number;
}

export interface DeploymentPlace {
  readonly service: WorkflowService;
  readonly namespace: string;
  readonly deploymentName: string;
}

const notFound = 5;

/** What Temporal knows of the deployment now; one that no worker ever polled for is empty, not an error. */
export async function viewDeployment({ service, namespace, deploymentName }: DeploymentPlace): Promise<DeploymentView> {
  const pollers = await pollersOf({ service, namespace, deploymentName });
  const info = await service.describeWorkerDeployment({ namespace, deploymentName }).then(
    ({ workerDeploymentInfo }) => workerDeploymentInfo,
    (error: unknown) => {
      if (isGrpcServiceError(error) && error.code === notFound) return undefined;
      throw error;
    },
  );
  const routing = info?.routingConfig;
  const currentBuildId = routing?.currentDeploymentVersion?.buildId;
  const rampingBuildId = routing?.rampingDeploymentVersion?.buildId;
  return {
    deploymentName,
    namespace,
    ...(currentBuildId ? { currentBuildId } : {}),
    wasEverDecided: Boolean(routing?.currentVersionChangedTime),
    ...(rampingBuildId
      ? { ramping: { buildId: rampingBuildId, percentage: routing?.rampingVersionPercentage ?? 0 } }
      : {}),
    versions: (info?.versionSummaries ?? [])
      .toSorted((one, other) => createdMs(other) - createdMs(one))
      .map((summary) => presentVersion(summary, pollers)),
    unversionedPollers: pollers.get(undefined) ?? 0,
  };
}

/** By build id; undefined: unversioned. Workers of other deployments on the task queue are not ours to count. */
async function pollersOf({
  service,
  namespace,
  deploymentName,
}: DeploymentPlace): Promise<ReadonlyMap<string | undefined, number>> {
  const { pollers = [] } = await service.describeTaskQueue({
    namespace,
    taskQueue: { name: taskQueue },
    taskQueueType: TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
  });
  const counts = new Map<string | undefined, number>();
  for (const { deploymentOptions: of } of pollers) {
    const isVersioned = of?.workerVersioningMode === WorkerVersioningMode.WORKER_VERSIONING_MODE_VERSIONED;
    if (isVersioned && of.deploymentName !== deploymentName) continue;
    const buildId = isVersioned ? (of.buildId ?? undefined) : undefined;
    counts.set(buildId, (counts.get(buildId) ?? 0) + 1);
  }
  return counts;
}

function presentVersion(summary: Summary, pollers: ReadonlyMap<string | undefined, number>): VersionView {
  const buildId = summary.deploymentVersion?.buildId ?? '';
  const status = statusOf(summary);
  const since = optionalTsToDate(
    status === 'draining' || status === 'drained' ? summary.drainageInfo?.lastChangedTime : summary.routingUpdateTime,
  );
  return {
    buildId,
    status,
    ...(since === undefined ? {} : { since: since.toISOString() }),
    pollers: pollers.get(buildId) ?? 0,
  };
}

function statusOf({ status }: Summary): VersionStatus {
  switch (status) {
    case WorkerDeploymentVersionStatus.WORKER_DEPLOYMENT_VERSION_STATUS_CREATED:
      return 'created';
    case WorkerDeploymentVersionStatus.WORKER_DEPLOYMENT_VERSION_STATUS_INACTIVE:
      return 'inactive';
    case WorkerDeploymentVersionStatus.WORKER_DEPLOYMENT_VERSION_STATUS_CURRENT:
      return 'current';
    case WorkerDeploymentVersionStatus.WORKER_DEPLOYMENT_VERSION_STATUS_RAMPING:
      return 'ramping';
    case WorkerDeploymentVersionStatus.WORKER_DEPLOYMENT_VERSION_STATUS_DRAINING:
      return 'draining';
    case WorkerDeploymentVersionStatus.WORKER_DEPLOYMENT_VERSION_STATUS_DRAINED:
      return 'drained';
    default:
      return 'unknown';
  }
}

function createdMs({ createTime }: Summary): number {
  return optionalTsToDate(createTime)?.getTime() ?? 0;
}
