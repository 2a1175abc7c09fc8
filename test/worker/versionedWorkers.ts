import { NativeConnection } from '@temporalio/worker';
import { dataConverter } from '../../configuration/dataConverter.ts';
import type { Activities } from '../../contracts/activities.ts';
import { createWorker } from '../../worker/createWorker.ts';
import type { DeploymentPlace } from '../../worker/deploymentView.ts';
import type { TestInstallation } from '../setup/installation.ts';

/** Where the deployment of this installation is. */
export function placeOf({ client, namespace }: TestInstallation): DeploymentPlace {
  return { service: client.workflowService, namespace, deploymentName: 'tenure' };
}

/**
 * A worker of another build, or of none: the same code under another name, which is all that Temporal goes by.
 * @param changed what its activities do differently
 * @returns how to stop it
 */
export async function startBuild(
  installation: TestInstallation,
  buildId: string | undefined,
  changed: Partial<Activities> = {},
): Promise<() => Promise<void>> {
  const { namespace, keys, activities, place } = installation;
  const connection = await NativeConnection.connect({ address: place.temporal.address });
  const worker = await createWorker({
    connection,
    namespace,
    dataConverter: dataConverter(keys.payload),
    activities: { ...activities, ...changed },
    ...(buildId === undefined ? {} : { version: { deploymentName: 'tenure', buildId } }),
  });
  const running = worker.run();
  return async () => {
    worker.shutdown();
    await running;
    await connection.close();
  };
}
