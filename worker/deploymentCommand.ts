import { parseArgs } from 'node:util';
import { Connection } from '@temporalio/client';
import { exitCodes } from '../cli/exitCodes.ts';
import { printJson, printTable } from '../cli/output.ts';
import { ConfigurationInvalid, loadConfiguration } from '../configuration/loadConfiguration.ts';
import { SecretUnreadable } from '../configuration/secretReference.ts';
import { temporalConnection } from '../configuration/temporalConnection.ts';
import { makeCurrent } from './deploymentRouting.ts';
import { deploymentVersion } from './deploymentVersion.ts';
import { type DeploymentPlace, type DeploymentView, viewDeployment } from './deploymentView.ts';

/**
 * The process behind `tenure deployment`: wiring only. It needs the worker's configuration and talks to Temporal alone, with
 * the API and the ledger up or down.
 */
async function deployment(): Promise<void> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { json: { type: 'boolean' }, unversioned: { type: 'boolean' }, wait: { type: 'string', default: '60' } },
  });
  const [verb, asked] = positionals;
  const configuration = loadConfiguration(process.env['TENURE_CONFIG'] ?? 'tenure.yaml', process.env);
  const { namespace, connectionOptions } = temporalConnection(configuration, process.env);
  const own = deploymentVersion(configuration.deployment.name);
  const { address } = connectionOptions;
  const connection = await Connection.connect({ ...connectionOptions, connectTimeout: '5 seconds' }).catch(
    (cause: unknown) => {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new Error(
        `Temporal at ${address} does not answer: ${reason}. Start it, or mend "temporal" of tenure.yaml.`,
      );
    },
  );
  try {
    const place = { service: connection.workflowService, namespace, deploymentName: own.deploymentName };
    if (verb === 'make-current') {
      const buildId = values.unversioned === true ? undefined : (asked ?? own.buildId);
      await makeCurrent(place, buildId, { patienceMs: Number(values.wait) * 1_000 });
    }
    await show(place, own.buildId, values.json === true);
  } finally {
    await connection.close();
  }
}

async function show(place: DeploymentPlace, ownBuildId: string, asJson: boolean): Promise<void> {
  const view = await viewDeployment(place);
  if (asJson) {
    printJson({ ...view, thisBuildId: ownBuildId });
    return;
  }
  const { currentBuildId, deploymentName, namespace } = view;
  console.log(
    `${currentBuildId === undefined ? 'No version is current: unversioned workers get' : `Version ${currentBuildId} is current: it gets`} ` +
      `the work of deployment ${deploymentName} in namespace ${namespace}.\n`,
  );
  const unversioned = [
    'unversioned',
    currentBuildId === undefined ? 'current' : '',
    '',
    String(view.unversionedPollers),
    '',
  ];
  printTable(
    ['build', 'status', 'since', 'pollers', ''],
    [
      ...view.versions.map(({ buildId, status, since = '', pollers }) => [
        buildId,
        status === 'ramping' ? `ramping ${view.ramping?.percentage ?? 0} %` : status,
        since,
        String(pollers),
        buildId === ownBuildId ? 'this release' : '',
      ]),
      ...(currentBuildId === undefined || view.unversionedPollers > 0 ? [unversioned] : []),
    ],
  );
  console.log(`\n${whatNext(view, ownBuildId)}`);
}

function whatNext({ currentBuildId, versions, unversionedPollers }: DeploymentView, ownBuildId: string): string {
  if (currentBuildId !== ownBuildId)
    return versions.some(({ buildId, pollers }) => buildId === ownBuildId && pollers > 0)
      ? 'Workers of this release poll and are given nothing new: `tenure deployment make-current` moves the work to them.'
      : 'No worker of this release polls yet. Start some, then `tenure deployment make-current`.';
  if (versions.some(({ status }) => status === 'draining'))
    return 'Keep the workers of draining versions until they are drained; Temporal looks every few minutes.';
  const others = versions.filter(({ buildId, pollers }) => buildId !== currentBuildId && pollers > 0);
  return others.length > 0 || unversionedPollers > 0
    ? 'Workers of other versions are needed no more: stop them (one that has just stopped still counts for some minutes).'
    : 'Nothing to do.';
}

function exitCodeOf(error: unknown): number {
  const isConfiguration = error instanceof ConfigurationInvalid || error instanceof SecretUnreadable;
  return isConfiguration ? exitCodes.configuration.code : exitCodes.unavailable.code;
}

try {
  await deployment();
} catch (error) {
  console.error(error instanceof Error ? error.message.trim() : String(error));
  process.exitCode = exitCodeOf(error);
}
