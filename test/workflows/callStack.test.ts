import { afterAll, beforeAll, expect, test } from 'vitest';
import { workflowIdOf } from '../../contracts/names.ts';
import { approvedFlow } from '../protocols/flows.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { onboardingOrder, opened } from '../setup/orders.ts';

let installation: TestInstallation;
let stopWorker: () => Promise<void>;

beforeAll(async () => {
  installation = await testInstallation({ flows: [approvedFlow('onboarding')] });
  stopWorker = await installation.startWorker();
});
afterAll(async () => {
  await stopWorker?.();
  await installation?.close();
});

test("a run's call stack names the lines of ours where it waits, and no stack is longer than four calls", async () => {
  const { identityId } = await opened(installation, onboardingOrder({ environment: 'production' }));
  const run = installation.client.workflow.getHandle(workflowIdOf('onboarding', identityId));
  const stacks = (await run.query<string>('__stack_trace')).split('\n\n');
  // It waits for something to do, and for the end of the time that approvers have.
  expect(stacks.some((stack) => /workflows\/driver\.ts/.test(stack))).toBe(true);
  expect(stacks.some((stack) => /startTimer .*workflows\/drivenRequest\.ts/.test(stack))).toBe(true);
  expect(Math.max(...stacks.map((stack) => stack.split('\n').length))).toBeLessThanOrEqual(4);
});
