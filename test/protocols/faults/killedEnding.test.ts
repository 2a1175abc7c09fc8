import { afterAll, beforeAll, test } from 'vitest';
import { Faults } from '../../setup/faulty.ts';
import { type TestInstallation, testInstallation } from '../../setup/installation.ts';
import { unattendedFlows } from './flows.ts';
import { killEverywhere } from './killMatrix.ts';
import { cancelledOnboarding, cancelledRotation, revocation, revocationUnderLease } from './shapes.ts';

const faults = new Faults();
let installation: TestInstallation;

beforeAll(async () => {
  installation = await testInstallation({ flows: unattendedFlows, leaseMs: 6_000, ...faults.wraps });
});
afterAll(async () => {
  await installation?.close();
});

test('a worker killed at any point of a cancel or a revocation leaves nothing that anybody could still use', async () => {
  await killEverywhere(installation, faults, [
    cancelledOnboarding,
    cancelledRotation,
    revocation,
    revocationUnderLease,
  ]);
}, 240_000);
