import { setTimeout as wait } from 'node:timers/promises';
import { isGrpcServiceError } from '@temporalio/client';
import { type DeploymentPlace, viewDeployment } from './deploymentView.ts';

/** Temporal keeps refusing a version as long as it has not seen its workers ask for every kind of task. */
const notYetPolling: readonly number[] = [5 /* NOT_FOUND */, 9 /* FAILED_PRECONDITION */];
const betweenAttemptsMs = 100;

export interface Patience {
  /** How long the workers of the version may take to be seen. */
  readonly patienceMs: number;
  /** Ends the waiting with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * From now on Temporal gives new and auto-upgrading workflows to workers of this build. Waits until they are seen, so
 * that nothing is given to nobody. Repeating it changes nothing.
 * @param buildId left out: to the unversioned workers, as before the first versioned release
 * @throws VersionNotPolled after `patienceMs`; anything else that Temporal says is passed on at once
 */
export async function makeCurrent(
  { service, namespace, deploymentName }: DeploymentPlace,
  buildId: string | undefined,
  { patienceMs, signal }: Patience,
): Promise<void> {
  const endsAtMs = Date.now() + patienceMs;
  for (;;) {
    try {
      await service.setWorkerDeploymentCurrentVersion({
        namespace,
        deploymentName,
        buildId: buildId ?? '',
        identity: `tenure/${process.pid}`,
      });
      return;
    } catch (error) {
      if (!isGrpcServiceError(error) || !notYetPolling.includes(error.code)) throw error;
      if (Date.now() >= endsAtMs) throw new VersionNotPolled(buildId, namespace, error);
    }
    await wait(betweenAttemptsMs, undefined, { signal });
  }
}

/** Nothing changed: the version that was current still is. Asking again once its workers run is safe. */
export class VersionNotPolled extends Error {
  override readonly name = 'VersionNotPolled';
  constructor(buildId: string | undefined, namespace: string, cause: Error) {
    super(
      `${buildId === undefined ? 'The unversioned workers were' : `Version ${buildId} was`} not made current in namespace ` +
        `${namespace}: ${cause.message}. Nothing changed. Start its workers, then repeat this.`,
      { cause },
    );
  }
}

/**
 * What a worker that polls does about its own version when it starts: takes the work over where it is told to
 * (`deployment.madeCurrentBy: worker`), and where nobody can mean anything else: in a namespace where no version was ever
 * current and no unversioned worker polls.
 * @returns whether it is current; false: an operator decides, and until then it is given nothing new
 */
export async function settleCurrent(
  place: DeploymentPlace,
  { buildId, madeCurrentBy, ...patience }: { buildId: string; madeCurrentBy: 'operator' | 'worker' } & Patience,
): Promise<boolean> {
  const { currentBuildId, wasEverDecided, unversionedPollers } = await viewDeployment(place);
  if (currentBuildId === buildId) return true;
  const isFirst = !wasEverDecided && unversionedPollers === 0;
  if (madeCurrentBy === 'operator' && !isFirst) return false;
  await makeCurrent(place, buildId, patience);
  return true;
}
