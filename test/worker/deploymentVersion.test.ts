import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { deploymentVersion } from '../../worker/deploymentVersion.ts';
import { sourceDigest } from '../../worker/sourceDigest.ts';
import * as workflows from '../../workflows/index.ts';

test('each workflow says how it moves between versions: what may wait for days goes on with the newest, the rest stays', () => {
  const behaviors = Object.entries(workflows).map(([name, workflow]) => {
    const { workflowDefinitionOptions: options } = workflow as { workflowDefinitionOptions?: unknown };
    return [name, options];
  });
  expect(Object.fromEntries(behaviors)).toEqual({
    lifecycle: { versioningBehavior: 'PINNED' },
    onboarding: { versioningBehavior: 'AUTO_UPGRADE' },
    publication: { versioningBehavior: 'AUTO_UPGRADE' },
    review: { versioningBehavior: 'AUTO_UPGRADE' },
    revocation: { versioningBehavior: 'AUTO_UPGRADE' },
    rotation: { versioningBehavior: 'AUTO_UPGRADE' },
    stepUp: { versioningBehavior: 'AUTO_UPGRADE' },
  });
});

test('a build is named after its package version and all the code that its worker runs, the same on every machine', () => {
  const { deploymentName, buildId } = deploymentVersion('tenure');
  expect(deploymentName).toBe('tenure');
  expect(buildId).toMatch(/^\d+\.\d+\.\d+-[0-9a-f]{12}$/);
  expect(deploymentVersion('tenure').buildId).toBe(buildId);
});

test('the digest covers every file, by name and content, and nothing that is made at run time', () => {
  expect(sourceDigest(['worker', 'contracts'])).not.toBe(sourceDigest(['worker']));
  expect(sourceDigest(['worker'])).not.toBe(sourceDigest(['contracts']));
  expect(sourceDigest(['worker/bundle'])).toBe(createHash('sha256').digest('hex'));
  expect(sourceDigest(['nowhere'])).toBe(createHash('sha256').digest('hex'));
});
