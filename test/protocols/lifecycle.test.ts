import { afterAll, beforeAll, expect, test } from 'vitest';
import { taskQueue } from '../../contracts/names.ts';
import { claimDueRows, claimSleepingRequests } from '../../ledger/dueWork.ts';
import { orderFreezeReviews } from '../../ledger/freezeReviews.ts';
import { liftFreeze, openFreeze } from '../../ledger/freezes.ts';
import { type ByHand, byHand } from '../setup/byHand.ts';
import { eventually } from '../setup/eventually.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { interruptions } from '../setup/interruptions.ts';
import { decide, onboardingOrder, opened, openOrder } from '../setup/orders.ts';
import { repeated } from '../setup/repeated.ts';
import { reviewFlow } from '../setup/reviews.ts';
import { approvedFlows, plainFlows } from './flows.ts';

const faults = interruptions();
let installation: TestInstallation;
let hand: ByHand;
let stopWorker: () => Promise<void>;

beforeAll(async () => {
  installation = await testInstallation({
    flows: [...plainFlows, ...approvedFlows, reviewFlow],
    leaseMs: 4_000,
    ...faults,
  });
  hand = byHand(installation);
  stopWorker = await installation.startWorker();
});
afterAll(async () => {
  await stopWorker?.();
  await installation?.close();
});

const at = (name: string) => `${name}@tenure.example`;

async function onboarded(): Promise<string> {
  const { requestId, identityId } = await opened(installation, onboardingOrder());
  await eventually(async () => expect(await hand.stateOf(requestId)).toMatchObject({ state: 'completed' }));
  return identityId;
}

/** As if the time had come: only this row, so that the tests do not meet in one batch. */
async function fallsDue(kind: 'rotation' | 'expiry', subjectId: string): Promise<void> {
  const dueAt = new Date(Date.now() - 1_000);
  await installation.ledger.prisma.dueWork.update({ where: { kind_subjectId: { kind, subjectId } }, data: { dueAt } });
  await installation.activities.runDueWork();
}

async function loseWorkflow(workflowId: string): Promise<void> {
  await installation.client.workflow.getHandle(workflowId).terminate('lost by the test');
}

async function wake(requestId: string): Promise<void> {
  await installation.ledger.prisma.request.update({
    where: { id: requestId },
    data: { wakeAt: new Date(Date.now() - 1_000) },
  });
  await installation.activities.runDueWork();
}

test('a request whose workflow was lost while it waited for people is found, and goes on from where it stood', async () => {
  const { requestId, identityId } = await opened(installation, onboardingOrder({ environment: 'production' }));
  await decide(installation, { requestId, by: at('security-1') });
  await loseWorkflow(`onboarding/${identityId}`);
  const { wakeAt } = await installation.ledger.prisma.request.findUniqueOrThrow({ where: { id: requestId } });
  expect(wakeAt).not.toBeNull();
  await wake(requestId);
  await decide(installation, { requestId, by: at('security-2') });
  await eventually(async () => expect(await hand.stateOf(requestId)).toMatchObject({ state: 'completed' }));
  expect(await hand.credentialsOf(identityId)).toBe('v1 current');
});

test('a run whose history does not replay is replaced, and its request goes on from where it stood', async () => {
  const { requestId, identityId } = await opened(installation, onboardingOrder({ environment: 'production' }));
  await decide(installation, { requestId, by: at('security-1') });
  const workflowId = `onboarding/${identityId}`;
  await loseWorkflow(workflowId);
  const { workflow } = installation.client;
  // No worker knows this type: the task fails each time, as it does for a history that does not replay.
  const broken = await workflow.start('unknown', { workflowId, taskQueue, args: [] });
  const attempts = async () => (await broken.describe()).raw.pendingWorkflowTask?.attempt ?? 0;
  await eventually(async () => expect(await attempts()).toBeGreaterThanOrEqual(3));
  await wake(requestId);
  expect(await workflow.getHandle(workflowId, broken.firstExecutionRunId).describe()).toMatchObject({
    status: { name: 'TERMINATED' },
  });
  await decide(installation, { requestId, by: at('security-2') });
  await eventually(async () => expect(await hand.stateOf(requestId)).toMatchObject({ state: 'completed' }));
  expect(await hand.credentialsOf(identityId)).toBe('v1 current');
});

test('a run that only waits is woken and stays', async () => {
  const { requestId, identityId } = await opened(installation, onboardingOrder({ environment: 'production' }));
  const run = installation.client.workflow.getHandle(`onboarding/${identityId}`);
  const { runId } = await run.describe();
  await wake(requestId);
  expect(await run.describe()).toMatchObject({ runId, status: { name: 'RUNNING' } });
});

test('a request whose workflow was lost in the middle of a creation takes up the same handle', async () => {
  const order = onboardingOrder();
  const { identityId } = order;
  const hold = faults.hold('before create', identityId);
  const { requestId } = await opened(installation, order);
  await hold.reached;
  await loseWorkflow(`onboarding/${identityId}`);
  await wake(requestId);
  await eventually(async () => expect(await hand.stateOf(requestId)).toMatchObject({ state: 'completed' }));
  expect(await hand.credentialsOf(identityId)).toBe('v1 current');
  await hold.release();
  expect(await installation.issuer.list({ identityId })).toMatchObject([{ handle: `${identityId}-v1` }]);
});

test('a cancelled request whose workflow was lost still has its destroys carried out', async () => {
  const identityId = await onboarded();
  const created = faults.hold('after create', identityId);
  const { requestId } = await opened(installation, openOrder('rotation', { identityId }));
  await created.reached;
  const hold = faults.hold('before destroy', identityId);
  await hand.command(requestId, { do: 'cancel', by: at('owner'), reason: 'not now' });
  await hold.reached;
  await loseWorkflow(`rotation/${identityId}`);
  await wake(requestId);
  await eventually(async () => {
    const request = await installation.ledger.prisma.request.findUniqueOrThrow({ where: { id: requestId } });
    expect(request).toMatchObject({ state: 'cancelled', owesDestroys: false, wakeAt: null });
  });
  expect(await installation.issuer.list({ identityId })).toMatchObject([{ handle: `${identityId}-v1` }]);
  await Promise.all([created.release(), hold.release()]);
});

test('a decision reaches a request whose workflow was lost, before anybody noticed', async () => {
  const { requestId, identityId } = await opened(installation, onboardingOrder({ environment: 'production' }));
  await loseWorkflow(`onboarding/${identityId}`);
  for (const name of ['security-1', 'security-2'])
    expect((await decide(installation, { requestId, by: at(name) })).verdict).toEqual({ accepted: true });
  await eventually(async () => expect(await hand.stateOf(requestId)).toMatchObject({ state: 'completed' }));
});

test('a credential that is due opens a rotation by schedule, once however often it is asked', async () => {
  const identityId = await onboarded();
  await fallsDue('rotation', identityId);
  await fallsDue('rotation', identityId);
  const rotations = await installation.ledger.prisma.request.findMany({ where: { identityId, kind: 'rotation' } });
  expect(rotations).toMatchObject([{ trigger: 'schedule', requesterId: 'system:lifecycle' }]);
  await eventually(async () =>
    expect(await installation.store.read({ identityId })).toMatchObject({ version: 2, epoch: 2 }),
  );
  const due = await installation.ledger.prisma.dueWork.findUniqueOrThrow({
    where: { kind_subjectId: { kind: 'rotation', subjectId: identityId } },
  });
  // Two thirds of the new credential's life from now, not the next minutes.
  expect(due.dueAt.getTime()).toBeGreaterThan(Date.now() + 86_400_000);
});

test('an identity that expires is revoked', async () => {
  const identityId = await onboarded();
  await fallsDue('expiry', identityId);
  const revocation = await installation.ledger.prisma.request.findFirstOrThrow({
    where: { identityId, kind: 'revocation' },
  });
  expect(revocation).toMatchObject({ trigger: 'schedule' });
  await eventually(async () => expect(await hand.stateOf(revocation.id)).toMatchObject({ state: 'completed' }), 20_000);
  expect(await installation.issuer.list({ identityId })).toEqual([]);
  expect(await installation.store.read({ identityId })).toMatchObject({ kind: 'tombstone' });
  expect(await installation.ledger.prisma.dueWork.count({ where: { subjectId: identityId } })).toBe(0);
});

test('a rotation that fell due under a freeze waits in the open, and begins when the freeze is lifted', async () => {
  const identityId = await onboarded();
  const { prisma } = installation.ledger;
  const freeze = { id: `freeze-${identityId}`, identityIds: [identityId], integrations: [], reason: 'incident' };
  await repeated(() => openFreeze(installation.ledger, { ...freeze, by: at('responder') }));
  await fallsDue('rotation', identityId);
  expect(await prisma.request.findFirstOrThrow({ where: { identityId, kind: 'rotation' } })).toMatchObject({
    state: 'held',
  });
  const { attempts, dueAt } = await prisma.dueWork.findUniqueOrThrow({
    where: { kind_subjectId: { kind: 'rotation', subjectId: identityId } },
  });
  expect(attempts).toBe(1);
  expect(dueAt.getTime()).toBeGreaterThan(Date.now());
  await liftFreeze(installation.ledger, { id: freeze.id, by: at('responder-2'), reason: 'looked into' });
  await eventually(async () =>
    expect(await installation.store.read({ identityId })).toMatchObject({ version: 2, epoch: 2 }),
  );
});

test('reviews that a responder orders for a freeze are opened by the lifecycle, one for each subject, and then nothing of it is due', async () => {
  const { ledger } = installation;
  const identityIds = [await onboarded(), await onboarded()].sort();
  const [freezeId, orderId] = [`freeze-${identityIds[0]}`, `order-${identityIds[0]}`];
  await repeated(() => openFreeze(ledger, { id: freezeId, identityIds, reason: 'incident', by: at('responder') }));
  const order = { id: orderId, freezeId, by: at('responder'), reason: 'rebuilt', proposal: { reissue: false } };
  expect(await orderFreezeReviews(ledger, order)).toEqual({ ordered: true });
  await eventually(async () => {
    await installation.activities.runDueWork();
    expect(await ledger.prisma.dueWork.count({ where: { subjectId: orderId } })).toBe(0);
  });
  const reviews = await ledger.prisma.request.findMany({
    where: { identityId: { in: identityIds }, kind: 'review' },
    orderBy: { identityId: 'asc' },
  });
  expect(reviews.map(({ identityId, state }) => [identityId, state])).toEqual(
    identityIds.map((identityId) => [identityId, 'awaiting-approval']),
  );
  await liftFreeze(ledger, { id: freezeId, by: at('responder-2'), reason: 'looked into' });
});

test('rows that fail go to the back with growing distance, so that they cannot keep others from their turn', async () => {
  const { ledger } = installation;
  const past = (index: number) => new Date(Date.now() - 1_000_000 + index);
  const rows = Array.from({ length: 12 }, (_, index) => ({
    kind: 'expiry',
    subjectId: `row-${index}`,
    dueAt: past(index),
  }));
  await ledger.prisma.dueWork.createMany({ data: rows });
  const claimed = async () => {
    const batch = await claimDueRows(ledger, 5);
    expect(batch.length).toBeLessThanOrEqual(5);
    // Sweeps of the tests before may fall due meanwhile; these rows are older than any of them.
    return batch
      .map(({ subjectId }) => subjectId)
      .filter((subjectId) => subjectId.startsWith('row-'))
      .sort();
  };
  const named = (from: number, to: number) =>
    rows
      .slice(from, to)
      .map(({ subjectId }) => subjectId)
      .sort();
  // Oldest first, and nobody twice.
  expect(await claimed()).toEqual(named(0, 5));
  const [second, third] = await Promise.all([claimed(), claimed()]);
  expect([...second, ...third].sort()).toEqual(named(5, 12));
  expect(await claimed()).toEqual([]);

  const delays: number[] = [];
  for (let round = 0; round < 4; round += 1) {
    await ledger.prisma.dueWork.update({
      where: { kind_subjectId: { kind: 'expiry', subjectId: 'row-0' } },
      data: { dueAt: past(0) },
    });
    await claimDueRows(ledger, 1);
    const { dueAt } = await ledger.prisma.dueWork.findUniqueOrThrow({
      where: { kind_subjectId: { kind: 'expiry', subjectId: 'row-0' } },
    });
    delays.push(dueAt.getTime() - Date.now());
  }
  // Doubling outgrows the jitter over two rounds, whatever it is.
  expect(delays[2]).toBeGreaterThan(Number(delays[0]));
  expect(delays[3]).toBeGreaterThan(Number(delays[1]));
  await ledger.prisma.dueWork.deleteMany({ where: { subjectId: { startsWith: 'row-' } } });
});

test('what fell due and what sleeps is claimed by an index up to now, not by looking at every row that waits', async () => {
  const { prisma } = installation.ledger;
  const plans = await prisma.$transaction(async (tx) => {
    // The tables of a test are so small that reading all of them is cheapest.
    await tx.$executeRaw`SELECT set_config(name, 'off', true) FROM unnest(ARRAY['enable_seqscan', 'enable_bitmapscan', 'enable_sort']) AS name`;
    const found: string[] = [];
    const $queryRaw = async (parts: TemplateStringsArray, ...values: unknown[]) => {
      const text = parts.reduce((statement, part, index) => `${statement}$${index}${part}`);
      const rows = await tx.$queryRawUnsafe<{ 'QUERY PLAN': string }[]>(`EXPLAIN ${text}`, ...values);
      found.push(rows.map((row) => row['QUERY PLAN']).join('\n'));
      return [];
    };
    const explaining = { prisma: { $queryRaw } as unknown as typeof prisma };
    await claimDueRows(explaining, 50);
    await claimSleepingRequests(explaining, 50);
    return found;
  });
  expect(plans).toEqual([
    expect.stringMatching(/Index Scan using "due_work_dueAt_idx".*\n\s+Index Cond: \("dueAt" <=/),
    expect.stringMatching(/Index Scan using request_wake.*\n\s+Index Cond: \("wakeAt" <=/),
  ]);
});

test('requests that arrive while the run before still destroys are driven when it has ended, those closed meanwhile passed over', async () => {
  const identityId = await onboarded();
  const hold = faults.hold('before destroy', identityId);
  const first = await opened(installation, openOrder('rotation', { identityId }));
  await hand.command(first.requestId, { do: 'cancel', by: at('owner'), reason: 'not now' });
  await hold.reached;
  const created = faults.hold('before create', identityId);
  const second = await opened(installation, openOrder('rotation', { identityId }));
  await hand.command(second.requestId, { do: 'cancel', by: at('owner'), reason: 'not that one' });
  const third = await opened(installation, openOrder('rotation', { identityId }));
  await hold.release();
  await created.reached;
  await created.release();
  await eventually(async () =>
    expect(await hand.stateOf(third.requestId)).toMatchObject({ state: 'awaiting-consumers' }),
  );
  expect(await installation.store.read({ identityId })).toMatchObject({ kind: 'value', epoch: 2 });
});
