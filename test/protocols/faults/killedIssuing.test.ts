import { afterAll, beforeAll, test } from 'vitest';
import { Faults } from '../../setup/faulty.ts';
import { type TestInstallation, testInstallation } from '../../setup/installation.ts';
import { unattendedFlows } from './flows.ts';
import { killEverywhere } from './killMatrix.ts';
import { onboarding, rollback, rotation } from './shapes.ts';

const faults = new Faults();
let installation: TestInstallation;

beforeAll(async () => {
  installation = await testInstallation({ flows: unattendedFlows, leaseMs: 6_000, ...faults.wraps });
});
afterAll(async () => {
  await installation?.close();
});

test('a worker killed at any point of an onboarding, rotation or rollback loses nothing, and no served value is ever refused', async () => {
  await killEverywhere(installation, faults, [onboarding, rotation, rollback]);
}, 240_000);
