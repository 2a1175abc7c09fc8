import { afterAll, beforeAll, expect, test } from 'vitest';
import { lifecycleWorkflowType, taskQueue, workflowIdOf } from '../../contracts/names.ts';
import { acknowledge } from '../../ledger/acknowledge.ts';
import { approvedFlow, plainFlow, plainFlows } from '../protocols/flows.ts';
import { eventually } from '../setup/eventually.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { interruptions } from '../setup/interruptions.ts';
import { decide, onboardingOrder, opened, openOrder } from '../setup/orders.ts';
import { leastEvents } from './leastEvents.ts';

const cooledFlow = plainFlow('onboarding')
  .replace('onboarding-plain', 'onboarding-cooled')
  .replace('subject: {}', `subject: {where: 'subject.environment == "cooled"'}`)
  .replace('stages:', 'stages:\n  - {id: cool-off, wait: {for: PT1S}}');

const faults = interruptions();
let installation: TestInstallation;
let stopWorker: () => Promise<void>;

beforeAll(async () => {
  installation = await testInstallation({
    flows: [...plainFlows, approvedFlow('onboarding'), cooledFlow],
    leaseMs: 10_000,
    wrapStore: faults.wrapStore,
  });
  stopWorker = await installation.startWorker();
});
afterAll(async () => {
  await stopWorker?.();
  await installation?.close();
});

/** The types of the run's events, once it has ended. */
async function eventsOf(workflowId: string): Promise<readonly string[]> {
  const handle = installation.client.workflow.getHandle(workflowId);
  await handle.result();
  const { events } = await handle.fetchHistory();
  return (events ?? []).map(({ eventType }) => String(eventType));
}

async function onboarded(): Promise<string> {
  const { identityId } = await opened(installation, onboardingOrder());
  await installation.client.workflow.getHandle(workflowIdOf('onboarding', identityId)).result();
  return identityId;
}

const leaseHasEnded = (identityId: string) =>
  eventually(async () => {
    const [row] = await installation.ledger.prisma.$queryRaw<{ left: bigint }[]>`
      SELECT count(*) AS "left" FROM "credential" WHERE "identityId" = ${identityId} AND "leaseEndsAt" > clock_timestamp()`;
    expect(row?.left).toBe(0n);
  }, 20_000);

/** Quarantine ends after the destroy is recorded, so that both come in sequence and a count is exact. */
async function revoked(identityId: string): Promise<readonly string[]> {
  const quarantine = faults.hold('before quarantine', identityId);
  await opened(installation, openOrder('revocation', { identityId }));
  await eventually(async () => {
    const { receipt } = await installation.ledger.prisma.credential.findFirstOrThrow({ where: { identityId } });
    expect(receipt).not.toBeNull();
  });
  await quarantine.reached;
  quarantine.release();
  return eventsOf(workflowIdOf('revocation', identityId));
}

test('the formula gives the two histories that DESIGN was measured by', () => {
  expect(leastEvents({ remote: 1, local: 2 })).toBe(15);
  expect(leastEvents({ remote: 1, local: 4, decisions: 2, timersCancelled: 1 })).toBe(29);
});

test('a lifecycle without due work: one activity', async () => {
  const handle = await installation.client.workflow.start(lifecycleWorkflowType, {
    workflowId: 'lifecycle-once',
    taskQueue,
    args: [],
    workflowIdConflictPolicy: 'FAIL',
    workflowIdReusePolicy: 'REJECT_DUPLICATE',
  });
  expect(await eventsOf(handle.workflowId)).toHaveLength(leastEvents({ opens: 0, remote: 1 }));
});

test('an onboarding without approval: create and promote, each recorded once', async () => {
  const identityId = await onboarded();
  expect(await eventsOf(workflowIdOf('onboarding', identityId))).toHaveLength(leastEvents({ remote: 2, local: 3 }));
});

test('an onboarding with two approvals and a deadline: one timer more, cancelled, and two updates', async () => {
  const { requestId, identityId } = await opened(installation, onboardingOrder({ environment: 'production' }));
  await decide(installation, { requestId, by: 'security-1@tenure.example' });
  await decide(installation, { requestId, by: 'security-2@tenure.example' });
  const events = await eventsOf(workflowIdOf('onboarding', identityId));
  expect(events).toHaveLength(leastEvents({ remote: 2, local: 5, decisions: 2, timersCancelled: 1 }));
});

test('an onboarding that waits first: one timer, and the step that it wakes', async () => {
  const { identityId } = await opened(installation, onboardingOrder({ environment: 'cooled' }));
  const events = await eventsOf(workflowIdOf('onboarding', identityId));
  expect(events).toHaveLength(leastEvents({ remote: 2, local: 4, timersFired: 1 }));
});

test('a denied onboarding: one decision, and the timer of its deadline cancelled', async () => {
  const { requestId, identityId } = await opened(installation, onboardingOrder({ environment: 'production' }));
  await decide(installation, { requestId, by: 'security-1@tenure.example', verdict: 'deny' });
  const events = await eventsOf(workflowIdOf('onboarding', identityId));
  expect(events).toHaveLength(leastEvents({ local: 2, decisions: 1, timersCancelled: 1 }));
});

test('a rotation that is acknowledged: create, promote, one nudge, destroy', async () => {
  const identityId = await onboarded();
  const { requestId } = await opened(installation, openOrder('rotation', { identityId }));
  await eventually(async () => {
    const { state } = await installation.ledger.prisma.request.findUniqueOrThrow({ where: { id: requestId } });
    expect(state).toBe('awaiting-consumers');
  });
  await acknowledge(installation.ledger, { identityId, epoch: 2, consumer: 'pipeline:deploy' });
  const events = await eventsOf(workflowIdOf('rotation', identityId));
  expect(events).toHaveLength(leastEvents({ remote: 3, local: 5, timersCancelled: 1, nudges: 1 }));
});

test('a revocation after the lease: quarantine and destroy; within it one timer and one more look', async () => {
  const [early, late] = await Promise.all([onboarded(), onboarded()]);
  const within = await revoked(early);
  expect(within).toHaveLength(leastEvents({ remote: 3, local: 5, timersFired: 1 }));
  await leaseHasEnded(late);
  expect(await revoked(late)).toHaveLength(leastEvents({ remote: 2, local: 3 }));
});
