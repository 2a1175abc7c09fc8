import { afterAll, beforeAll, expect, test } from 'vitest';
import { IssuerRefused } from '../../../activities/issuers/issuerErrors.ts';
import { StoreRefused } from '../../../activities/stores/storeErrors.ts';
import { eventually } from '../../setup/eventually.ts';
import { Faults, type When } from '../../setup/faulty.ts';
import { type TestInstallation, testInstallation } from '../../setup/installation.ts';
import { unattendedFlows } from './flows.ts';
import { login } from './login.ts';
import { expectReplayable, expectSound, expectWholeEvidence, untilQuiet, watch } from './outside.ts';
import {
  acknowledgeServed,
  attendUntilFinal,
  cancelledRotation,
  isServedThroughout,
  onboarding,
  requestOf,
  revocation,
  rollback,
  rotation,
  type Shape,
  type Subject,
  servedNow,
} from './shapes.ts';

const faults = new Faults();
let installation: TestInstallation;
let stopWorker: () => Promise<void>;

beforeAll(async () => {
  installation = await testInstallation({ flows: unattendedFlows, leaseMs: 4_000, ...faults.wraps });
  stopWorker = await installation.startWorker();
});
afterAll(async () => {
  await stopWorker?.();
  await installation?.close();
});

/** A part that fails for long, in one shape, and what must hold while it does. */
interface Outage {
  readonly what: string;
  readonly shape: Shape;
  readonly isHit: (step: string, when: When) => boolean;
  readonly error?: (step: string) => Error;
  /** The step whose failures the request shows. */
  readonly retries: string;
  /** What is still so, or so already, in spite of it. */
  readonly meanwhile: (subject: Subject) => Promise<void>;
}

const issuerRefuses = () => new IssuerRefused('main-db', 'the credential', 'the test says no');
const storeRefuses = () => new StoreRefused('sealed', 'the test says no');

const outages: readonly Outage[] = [
  {
    what: 'the issuer cannot be reached by an onboarding',
    shape: onboarding,
    isHit: (step) => step.includes(': issuer.'),
    retries: 'create-v1',
    meanwhile: servesNothing,
  },
  {
    what: 'the store cannot be reached by an onboarding',
    shape: onboarding,
    isHit: (step) => step.includes(': store.'),
    retries: 'create-v1',
    meanwhile: servesNothing,
  },
  {
    what: 'the issuer makes the credential and its answer never arrives',
    shape: onboarding,
    isHit: (step, when) => step === 'create: issuer.create' && when === 'after',
    retries: 'create-v1',
    meanwhile: servesNothing,
  },
  {
    what: 'the issuer cannot be reached by a rotation',
    shape: rotation,
    isHit: (step) => step.includes(': issuer.'),
    retries: 'create-v2',
    meanwhile: (subject) => serves(subject, 1),
  },
  {
    what: 'the store refuses what a rotation committed',
    shape: rotation,
    isHit: (step) => step === 'promote: store.promote',
    error: storeRefuses,
    retries: 'promote-e2',
    meanwhile: (subject) => serves(subject, 1),
  },
  {
    what: 'the issuer refuses to destroy what a rotation replaced',
    shape: rotation,
    isHit: (step) => step === 'destroy: issuer.destroy',
    error: issuerRefuses,
    retries: 'destroy-v1',
    meanwhile: (subject) => serves(subject, 2),
  },
  {
    what: 'the store refuses what a rollback committed',
    shape: rollback,
    isHit: (step) => step === 'promote: store.promote',
    error: storeRefuses,
    retries: 'promote-e3',
    meanwhile: (subject) => serves(subject, 2),
  },
  {
    what: 'the issuer refuses to destroy what a revocation ends',
    shape: revocation,
    isHit: (step) => step === 'destroy: issuer.destroy',
    error: issuerRefuses,
    retries: 'destroy-v1',
    meanwhile: servesTombstone,
  },
  {
    what: 'the store refuses the tombstone of a revocation',
    shape: revocation,
    isHit: (step) => step === 'quarantine: store.quarantine',
    error: storeRefuses,
    retries: 'quarantine-e2',
    meanwhile: refusesEverything,
  },
];

test('an issuer or store that fails for long leaves its request visibly retrying, then stuck, and every request completes once it is healed', async () => {
  const cases = await Promise.all(
    outages.map(async (outage) => ({ ...outage, subject: await outage.shape.prepare(installation) })),
  );
  const watching = watch(
    installation,
    cases.flatMap(({ shape, subject }) => (isServedThroughout(shape, subject) ? [subject.identityId] : [])),
  );
  try {
    await Promise.all(cases.map(untilHealed));
    await untilQuiet(installation);
  } finally {
    await watching.stop();
  }
  expect(watching.wrong).toEqual([]);
  for (const { subject, shape, what } of cases) await expectSound(installation, subject, shape.ends, what);
  await expectWholeEvidence(installation);
  await expectReplayable(installation);
}, 180_000);

async function untilHealed(outage: Outage & { readonly subject: Subject }): Promise<void> {
  const { subject, shape, retries, meanwhile, what } = outage;
  const { heal } = faults.failUntilHealed(subject.workflowId, outage.isHit, outage.error);
  await shape.begin(installation, subject, Promise.resolve());
  const seen = new Set<string>();
  await eventually(async () => {
    const { state, flowState } = await requestOf(installation, subject);
    if (flowState.effect.retries[retries] !== undefined) seen.add(state);
    if (state === 'awaiting-consumers') await acknowledgeServed(installation, subject.identityId);
    expect(state, what).toBe('stuck');
  }, 90_000);
  expect([...seen], `${what}: what the request said while it retried`).toEqual(['executing', 'stuck']);
  await meanwhile(subject);
  heal();
  await attendUntilFinal(installation, subject);
}

test('a cancelled request whose destroy is refused is final at once, owes it visibly, and pays it once the issuer is healed', async () => {
  const subject = await cancelledRotation.prepare(installation);
  const { workflowId } = subject;
  const isDestroy = (step: string) => step === 'destroy: issuer.destroy';
  const { heal } = faults.failUntilHealed(workflowId, isDestroy, issuerRefuses);
  const hang = faults.hang(workflowId, { step: 'create: issuer.prove', when: 'before', occurrence: 1 });
  await cancelledRotation.begin(installation, subject, hang.reached);
  await eventually(async () => {
    const { state, owesDestroys, flowState } = await requestOf(installation, subject);
    expect({ state, owesDestroys }).toEqual({ state: 'cancelled', owesDestroys: true });
    expect(flowState.effect.retries['destroy-v2']).toMatchObject({ attempt: 2, reason: 'IssuerRefused' });
  });
  heal();
  await attendUntilFinal(installation, subject);
  hang.release();
  await untilQuiet(installation);
  await expectSound(installation, subject, cancelledRotation.ends, 'a cancelled rotation');
}, 90_000);

async function servesNothing({ identityId }: Subject): Promise<void> {
  expect(await installation.store.read({ identityId })).toBeUndefined();
}

async function serves({ identityId }: Subject, version: number): Promise<void> {
  const served = await servedNow(installation, identityId);
  expect(served.version).toBe(version);
  expect(await login(installation, { identityId, ...served })).toBe('accepted');
}

async function servesTombstone({ identityId }: Subject): Promise<void> {
  expect(await installation.store.read({ identityId })).toEqual({ kind: 'tombstone', epoch: 2 });
}

/** An unreachable store keeps no credential alive. */
async function refusesEverything({ identityId, served }: Subject): Promise<void> {
  for (const earlier of served) expect(await login(installation, { identityId, ...earlier })).toBe('refused');
}
