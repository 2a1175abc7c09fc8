import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import type { OpenOrder } from '../../../contracts/open.ts';
import type { FlowState } from '../../../domain/flow/state.ts';
import { isFinalRequestState, type RequestState } from '../../../domain/states.ts';
import { acknowledge } from '../../../ledger/acknowledge.ts';
import { giveCommand } from '../../../ledger/commands.ts';
import { eventually } from '../../setup/eventually.ts';
import type { Point } from '../../setup/faulty.ts';
import type { TestInstallation } from '../../setup/installation.ts';
import { onboardingOrder, opened, openOrder } from '../../setup/orders.ts';

/** One identity on its way through a shape. */
export interface Subject {
  readonly identityId: string;
  /** The request whose steps are interrupted. */
  readonly order: OpenOrder;
  readonly workflowId: string;
  /** What the store served before the shape began. */
  readonly served: readonly { readonly version: number; readonly value: string }[];
}

/** A protocol of DESIGN section 5, from where faults begin to where it must end whatever they do. */
export interface Shape {
  readonly name: string;
  /** Brings an identity to where the shape begins, without faults. */
  prepare(installation: TestInstallation): Promise<Subject>;
  /** Where the workflow must hang before `begin` goes on: the middle of a step. */
  readonly hangsAt?: Point;
  /** The first step to interrupt, when another shape takes the same ones before it. */
  readonly interruptedFrom?: string;
  /** @param hangs resolves when the workflow hangs at `hangsAt` */
  begin(installation: TestInstallation, subject: Subject, hangs: Promise<void>): Promise<void>;
  readonly ends: Ending;
}

export interface Ending {
  readonly request: 'completed' | 'cancelled';
  readonly identity: 'active' | 'revoked' | 'rejected';
  /** The one version that is live at the end; none of an identity that is not active. */
  readonly liveVersions: readonly number[];
}

const consumer = 'pipeline:deploy';
const patienceMs = 150_000;
const betweenLooksMs = 200;

export const onboarding: Shape = {
  name: 'onboarding',
  prepare: async () => subjectOf(onboardingOrder()),
  begin: open,
  ends: { request: 'completed', identity: 'active', liveVersions: [1] },
};

export const rotation: Shape = {
  name: 'rotation',
  prepare: async (installation) => nextOf(installation, await onboarded(installation), 'rotation'),
  begin: open,
  ends: { request: 'completed', identity: 'active', liveVersions: [2] },
};

export const rollback: Shape = {
  name: 'rollback',
  async prepare(installation) {
    const rotated = await nextOf(installation, await onboarded(installation), 'rotation');
    await open(installation, rotated);
    await eventually(async () => expectState(await requestOf(installation, rotated), 'awaiting-consumers'), patienceMs);
    return { ...rotated, served: [...rotated.served, await servedNow(installation, rotated.identityId)] };
  },
  begin: (installation, subject) => command(installation, subject, 'rollback'),
  ends: { request: 'completed', identity: 'active', liveVersions: [1] },
};

/** Where a mint exists at the issuer and nobody has heard of it. */
const midCreate: Point = { step: 'create: issuer.prove', when: 'before', occurrence: 1 };

export const cancelledOnboarding: Shape = {
  name: 'cancelled onboarding',
  prepare: async () => subjectOf(onboardingOrder()),
  hangsAt: midCreate,
  begin: openAndCancel,
  ends: { request: 'cancelled', identity: 'rejected', liveVersions: [] },
};

export const cancelledRotation: Shape = {
  name: 'cancelled rotation',
  prepare: async (installation) => nextOf(installation, await onboarded(installation), 'rotation'),
  hangsAt: midCreate,
  begin: openAndCancel,
  ends: { request: 'cancelled', identity: 'active', liveVersions: [1] },
};

export const revocation: Shape = {
  name: 'revocation',
  async prepare(installation) {
    const subject = await nextOf(installation, await onboarded(installation), 'revocation');
    await setLeaseEnd(installation, subject, 0);
    return subject;
  },
  begin: open,
  ends: { request: 'completed', identity: 'revoked', liveVersions: [] },
};

/** A late creation could still land: after the lease, which ends only once the destroy is confirmed, all is looked at again. */
export const revocationUnderLease: Shape = {
  ...revocation,
  name: 'revocation under a running lease',
  interruptedFrom: 'advance(nudge): ledger.transaction',
  async prepare(installation) {
    const subject = await nextOf(installation, await onboarded(installation), 'revocation');
    await setLeaseEnd(installation, subject, patienceMs / 1_000);
    return subject;
  },
  async begin(installation, subject) {
    await open(installation, subject);
    await eventually(() => expectReceipt(installation, subject), patienceMs);
    await setLeaseEnd(installation, subject, 1);
    const { order, identityId } = subject;
    await eventually(() => installation.gateway.nudge({ kind: 'revocation', identityId }, order.requestId), patienceMs);
  },
};

/** Two credentials at once: the one that is served and the one that waits for consumers. */
export const revocationOfARotation: Shape = {
  ...revocation,
  name: 'revocation in the middle of a rotation',
  async prepare(installation) {
    const rotated = await rollback.prepare(installation);
    const subject = await nextOf(installation, rotated.identityId, 'revocation');
    await setLeaseEnd(installation, subject, 0);
    return { ...subject, served: rotated.served };
  },
};

export const shapes: readonly Shape[] = [
  onboarding,
  rotation,
  rollback,
  cancelledOnboarding,
  cancelledRotation,
  revocation,
  revocationUnderLease,
  revocationOfARotation,
];

/** Its consumers must be able to log in at every instant of the shape. */
export function isServedThroughout({ ends }: Shape, { served }: Subject): boolean {
  return ends.identity === 'active' && served.length > 0;
}

/** What consumers do while the shape runs: whoever reads a new value says so. Returns when the request is final and owes nothing. */
export async function attendUntilFinal(installation: TestInstallation, subject: Subject): Promise<void> {
  const endsAtMs = Date.now() + patienceMs;
  for (;;) {
    const { state, owesDestroys } = await requestOf(installation, subject);
    if (isFinalRequestState(state) && !owesDestroys) return;
    if (Date.now() > endsAtMs) throw new Error(`${subject.workflowId} is ${state}${owesDestroys ? ', owing' : ''}`);
    if (state === 'awaiting-consumers') await acknowledgeServed(installation, subject.identityId);
    await wait(betweenLooksMs);
  }
}

export async function requestOf(
  { ledger }: TestInstallation,
  { order }: Subject,
): Promise<{ state: RequestState; owesDestroys: boolean; flowState: FlowState }> {
  const request = await ledger.prisma.request.findUniqueOrThrow({ where: { id: order.requestId } });
  const { state, owesDestroys, flowState } = request;
  return { state: state as RequestState, owesDestroys, flowState: flowState as unknown as FlowState };
}

/** As an honest client: repeated under the same key until the outcome is known; a refusal is an outcome. */
export async function command(
  { ledger }: TestInstallation,
  { order }: Subject,
  verb: 'cancel' | 'rollback',
): Promise<void> {
  const given = {
    requestId: order.requestId,
    commandId: randomUUID(),
    command: { do: verb, by: 'requester@tenure.example', reason: 'the tests want it' },
  };
  const { verdict } = await eventually(() => giveCommand(ledger, given), patienceMs);
  if (!verdict.accepted) throw new Error(`${verb} was refused: ${verdict.detail}`);
}

/** What the store serves; a value, or the test is wrong. */
export async function servedNow(
  { store }: TestInstallation,
  identityId: string,
): Promise<{ version: number; value: string; epoch: number }> {
  const live = await store.read({ identityId });
  if (live?.kind !== 'value') throw new Error(`nothing is served for ${identityId}`);
  return live;
}

/** As an honest client: repeated under the same key until the outcome is known (promise 13). */
export async function open(installation: TestInstallation, subject: Subject): Promise<void> {
  await eventually(() => opened(installation, subject.order), patienceMs);
}

async function openAndCancel(installation: TestInstallation, subject: Subject, hangs: Promise<void>): Promise<void> {
  await open(installation, subject);
  await hangs;
  await command(installation, subject, 'cancel');
}

export async function acknowledgeServed(installation: TestInstallation, identityId: string): Promise<void> {
  const { epoch } = await servedNow(installation, identityId);
  await acknowledgeEpoch(installation, identityId, epoch);
}

/** Repeated until the outcome is known: a transaction that hangs may hold the identity for a while. */
export async function acknowledgeEpoch({ ledger }: TestInstallation, identityId: string, epoch: number): Promise<void> {
  await eventually(() => acknowledge(ledger, { identityId, epoch, consumer }), patienceMs);
}

async function onboarded(installation: TestInstallation): Promise<string> {
  const subject = subjectOf(onboardingOrder());
  await open(installation, subject);
  await eventually(async () => expectState(await requestOf(installation, subject), 'completed'), patienceMs);
  return subject.identityId;
}

async function nextOf(
  installation: TestInstallation,
  identityId: string,
  kind: 'rotation' | 'revocation',
): Promise<Subject> {
  return { ...subjectOf(openOrder(kind, { identityId })), served: [await servedNow(installation, identityId)] };
}

export function subjectOf(order: OpenOrder): Subject {
  return { identityId: order.identityId, order, workflowId: `${order.kind}/${order.identityId}`, served: [] };
}

function expectState({ state }: { state: RequestState }, wanted: RequestState): void {
  if (state !== wanted) throw new Error(`the request is ${state}, not yet ${wanted}`);
}

async function expectReceipt({ ledger }: TestInstallation, { identityId }: Subject): Promise<void> {
  const { receipt } = await ledger.prisma.credential.findFirstOrThrow({ where: { identityId } });
  if (receipt === null) throw new Error(`the destroy of ${identityId} is not confirmed yet`);
}

/** Whether a lease still runs must not depend on how busy the machine is. */
async function setLeaseEnd({ ledger }: TestInstallation, { identityId }: Subject, secondsAhead: number): Promise<void> {
  await ledger.prisma.$executeRaw`
    UPDATE "credential" SET "leaseEndsAt" = clock_timestamp() + make_interval(secs => ${secondsAhead})
    WHERE "identityId" = ${identityId}`;
}
