import { setTimeout as wait } from 'node:timers/promises';
import proto from '@temporalio/proto';
import { Worker } from '@temporalio/worker';
import { expect } from 'vitest';
import { ownerNameOf } from '../../../activities/issuers/postgresRoleNames.ts';
import { StagedValueDestroyed } from '../../../activities/stores/storeErrors.ts';
import { dataConverter } from '../../../configuration/dataConverter.ts';
import { verifyChains } from '../../../ledger/evidenceVerification.ts';
import { workflowBundle } from '../../../worker/bundle.ts';
import { eventually } from '../../setup/eventually.ts';
import type { TestInstallation } from '../../setup/installation.ts';
import { login } from './login.ts';
import type { Ending, Subject } from './shapes.ts';

/** What somebody sees who trusts neither the workflows nor the activities: the issuer, the store, the ledger's tables. */

const { WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND: UnhandledCommand } =
  proto.temporal.api.enums.v1.WorkflowTaskFailedCause;

const settledStates: readonly string[] = ['current', 'destroyed'];

/** Runs what falls due until every request is final, owes nothing, and no credential is on its way anywhere. */
export async function untilQuiet(installation: TestInstallation, patienceMs = 60_000): Promise<void> {
  const { activities, client, ledger } = installation;
  await eventually(async () => {
    await activities.runDueWork();
    const requests = await ledger.prisma.request.findMany({ where: { finishedAt: null } });
    expect(
      requests.map(({ id, kind, state }) => ({ id, kind, state })),
      'open requests',
    ).toEqual([]);
    expect(await ledger.prisma.request.count({ where: { owesDestroys: true } }), 'requests that owe destroys').toBe(0);
    const moving = await ledger.prisma.credential.findMany({ where: { state: { notIn: [...settledStates] } } });
    expect(
      moving.map(({ handle, state }) => ({ handle, state })),
      'credentials on their way',
    ).toEqual([]);
    expect(
      await ledger.prisma.dueWork.count({ where: { kind: 'sweep', dueAt: { lte: new Date() } } }),
      'sweeps left',
    ).toBe(0);
    expect(await ledger.prisma.outboxMessage.count({ where: { deliveredAt: null } }), 'messages left').toBe(0);
    const running: string[] = [];
    for await (const { workflowId } of client.workflow.list({ query: 'ExecutionStatus = "Running"' }))
      running.push(workflowId);
    expect(running, 'workflows left running').toEqual([]);
  }, patienceMs);
}

/** Of a subject whose request is final, once all is quiet. `label` says which one in a failure. */
export async function expectSound(
  installation: TestInstallation,
  subject: Subject,
  ends: Ending,
  label: string,
): Promise<void> {
  const { issuer, ledger } = installation;
  const { identityId, order } = subject;
  const request = await ledger.prisma.request.findUniqueOrThrow({ where: { id: order.requestId } });
  const identity = await ledger.prisma.identity.findUniqueOrThrow({ where: { id: identityId } });
  const credentials = await ledger.prisma.credential.findMany({ where: { identityId }, orderBy: { version: 'asc' } });
  expect([request.state, identity.state], label).toEqual([ends.request, ends.identity]);

  const live = credentials.filter(({ state }) => state !== 'destroyed');
  const listed = await issuer.list({ identityId });
  expect(listed.map(({ handle }) => handle).sort(), `${label}: the issuer has what the ledger says`).toEqual(
    live.map(({ handle }) => handle).sort(),
  );
  expect(
    live.map(({ version, state }) => ({ version, state })),
    `${label}: one current, no other`,
  ).toEqual(ends.liveVersions.map((version) => ({ version, state: 'current' })));
  await expectServed(installation, subject, { epoch: identity.epoch, live: ends.liveVersions, label });
  for (const { version, receipt } of credentials.filter(({ state }) => state === 'destroyed'))
    await expectGone(installation, subject, { version, receipt, label });
  if (ends.identity !== 'active') await expectNoRoles(installation, subject, label);
}

/** The live path: the current version under the identity's epoch, a tombstone after revocation, nothing after rejection. */
async function expectServed(
  installation: TestInstallation,
  { identityId, served }: Subject,
  { epoch, live, label }: { epoch: number; live: readonly number[]; label: string },
): Promise<void> {
  const found = await installation.store.read({ identityId });
  const [version] = live;
  if (version === undefined) {
    const wanted = served.length === 0 ? undefined : { kind: 'tombstone', epoch };
    expect(found, `${label}: what the store serves`).toEqual(wanted);
    return;
  }
  expect(found, `${label}: what the store serves`).toMatchObject({ kind: 'value', version, epoch });
  if (found?.kind !== 'value') return;
  expect(await login(installation, { identityId, ...found }), `${label}: the served value logs in`).toBe('accepted');
}

/** Refused by a real login, not staged any more, and with a receipt that says how that is known. */
async function expectGone(
  installation: TestInstallation,
  { identityId, served }: Subject,
  { version, receipt, label }: { version: number; receipt: unknown; label: string },
): Promise<void> {
  expect(receipt, `${label}: the receipt of version ${version}`).toMatchObject({
    method: expect.stringMatching(/^(tried|absent)$/),
    stillUsable: [],
  });
  await expect(
    installation.store.readStaged({ identityId, version }),
    `${label}: the staged value of version ${version}`,
  ).rejects.toThrow(StagedValueDestroyed);
  for (const { value } of served.filter((earlier) => earlier.version === version))
    expect(await login(installation, { identityId, version, value }), `${label}: version ${version}`).toBe('refused');
}

/** Neither logins nor the role that owned what they made. */
async function expectNoRoles({ ledger }: TestInstallation, { identityId }: Subject, label: string): Promise<void> {
  const owner = ownerNameOf(identityId);
  if (owner === undefined) throw new TypeError(`${identityId} has no owning role.`);
  const roles = await ledger.prisma.$queryRaw`SELECT rolname FROM pg_roles WHERE starts_with(rolname, ${owner})`;
  expect(roles, `${label}: roles left at the issuer`).toEqual([]);
}

/** Every evidence entry, in order and unaltered. */
export async function expectWholeEvidence({ ledger }: TestInstallation): Promise<void> {
  expect(await verifyChains(ledger.prisma, ledger.evidence)).toMatchObject({ ok: true });
}

/** Temporal repeats a failed workflow task, so a workflow that stumbles shows nowhere else. */
export async function expectNoFailedWorkflowTasks({ client }: TestInstallation): Promise<void> {
  const failures: string[] = [];
  for await (const { workflowId, runId } of client.workflow.list()) {
    const { events } = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    // Something arrived as the task was answered: the server asks once more, and nothing stumbled.
    for (const { workflowTaskFailedEventAttributes: failed } of events ?? [])
      if (failed && failed.cause !== UnhandledCommand) failures.push(`${workflowId}: ${failed.failure?.message}`);
  }
  expect(failures).toEqual([]);
}

/** A worker that takes over reads every history as the one that wrote it did; else the workflow fails its tasks for ever. */
export async function expectReplayable({ client, keys }: TestInstallation): Promise<void> {
  const options = { workflowBundle: await workflowBundle(), dataConverter: dataConverter(keys.payload) };
  const failures: string[] = [];
  let histories = 0;
  for await (const { workflowId, error } of Worker.runReplayHistories(
    options,
    client.workflow.list().intoHistories(),
  )) {
    histories += 1;
    if (error !== undefined) failures.push(`${workflowId}: ${error.message}`);
  }
  expect(failures).toEqual([]);
  expect(histories).toBeGreaterThan(0);
}

export interface Watch {
  /** What was wrong at any sampled instant. */
  readonly wrong: readonly string[];
  /** How often it logged in. */
  logins(): number;
  stop(): Promise<void>;
}

/** Leaves most of the machine to what is looked at. */
const betweenRoundsMs = 100;

/**
 * Looks on all the while, as a client and as an auditor: what the store serves is accepted by a real login, and whatever
 * the issuer has, the ledger knew before.
 */
export function watch(installation: TestInstallation, identityIds: readonly string[]): Watch {
  const wrong: string[] = [];
  let logins = 0;
  let isEnding = false;
  const running = (async () => {
    while (!isEnding) {
      for (const identityId of identityIds) {
        if (isEnding) break;
        const fault = await servedButRefused(installation, identityId);
        logins += 1;
        if (fault !== undefined) wrong.push(fault);
      }
      wrong.push(...(await orphans(installation)));
      await wait(betweenRoundsMs);
    }
  })();
  return {
    wrong,
    logins: () => logins,
    async stop() {
      isEnding = true;
      await running;
    },
  };
}

/** A value that was replaced between reading and logging in is no outage; one that is still served is. */
async function servedButRefused(installation: TestInstallation, identityId: string): Promise<string | undefined> {
  const before = await installation.store.read({ identityId });
  if (before?.kind !== 'value') return `${identityId}: the store serves ${before?.kind ?? 'nothing'}`;
  if ((await login(installation, { identityId, ...before })) === 'accepted') return undefined;
  const after = await installation.store.read({ identityId });
  if (after?.epoch !== before.epoch) return undefined;
  return `${identityId}: version ${before.version} is served under epoch ${before.epoch} and refused`;
}

/** The issuer first: what it has by then, the ledger must have known before. */
async function orphans({ issuer, ledger }: TestInstallation): Promise<string[]> {
  const listed = await issuer.list();
  const known = await ledger.prisma.credential.findMany({
    where: { handle: { in: listed.map(({ handle }) => handle) } },
    select: { handle: true },
  });
  const handles = new Set(known.map(({ handle }) => handle));
  return listed.filter(({ handle }) => !handles.has(handle)).map(({ handle }) => `${handle} is an orphan`);
}
