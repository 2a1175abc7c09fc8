import { readFileSync } from 'node:fs';
import type { WorkerDeploymentVersion } from '@temporalio/common';
import { z } from 'zod';
import { sourceDigest } from './sourceDigest.ts';

/** What a worker is made of: a change in any of them makes another build. */
const sources = [
  'activities',
  'api',
  'configuration',
  'contracts',
  'domain',
  'ledger',
  'observability',
  'worker',
  'workflows',
  'prisma/schema.prisma',
  'package-lock.json',
];

const manifest = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')));

/**
 * The version under which this worker polls: `<package version>-<12 hex digits>` of the code that it runs. Two builds
 * that differ in anything have two ids, so a process can never pass for another one; the same code has the same id on
 * every machine.
 */
export function deploymentVersion(deploymentName: string): WorkerDeploymentVersion {
  return { deploymentName, buildId: `${manifest.version}-${sourceDigest(sources).slice(0, 12)}` };
}
