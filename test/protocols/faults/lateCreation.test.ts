import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../setup/eventually.ts';
import { Faults, nameOf, type Point } from '../../setup/faulty.ts';
import { type TestInstallation, testInstallation } from '../../setup/installation.ts';
import { unattendedFlows } from './flows.ts';
import { expectSound, untilQuiet, watch } from './outside.ts';
import { cancelledOnboarding, cancelledRotation, requestOf, type Shape, type Subject } from './shapes.ts';
import { eachOf } from './steps.ts';

const faults = new Faults();
let installation: TestInstallation;
let stopWorker: () => Promise<void>;

beforeAll(async () => {
  installation = await testInstallation({ flows: unattendedFlows, leaseMs: 12_000, ...faults.wraps });
  stopWorker = await installation.startWorker();
});
afterAll(async () => {
  await stopWorker?.();
  await installation?.close();
});

const callsOfCreate = ['issuer.generateSecret', 'store.stage', 'issuer.create', 'issuer.prove'];
const points: readonly Point[] = callsOfCreate.flatMap((call) =>
  (['before', 'after'] as const).map((when) => ({ step: `create: ${call}`, when, occurrence: 1 })),
);

/** The secret was staged in time, and the issuer makes the credential when its destroy was already confirmed. */
const landsLate = ['after create: store.stage', 'before create: issuer.create'];

function handleOfMint({ identityId, served }: Subject): string {
  return `${identityId}-v${served.length + 1}`;
}

test('a creation that goes on after its request was cancelled, and its destroy confirmed, is found when the lease ends', async () => {
  const cases: { shape: Shape; point: Point; subject: Subject }[] = [];
  for (const shape of [cancelledOnboarding, cancelledRotation])
    for (const point of points) cases.push({ shape, point, subject: await shape.prepare(installation) });
  const rotated = cases.filter(({ shape }) => shape === cancelledRotation);
  const watching = watch(
    installation,
    rotated.map(({ subject }) => subject.identityId),
  );
  await eachOf(cases, cases.length, async ({ shape, point, subject }) => {
    const hang = faults.hang(subject.workflowId, point);
    await shape.begin(installation, subject, hang.reached);
    await eventually(async () => expect(await requestOf(installation, subject)).toMatchObject({ owesDestroys: false }));
    hang.release();
    if (!landsLate.includes(nameOf(point))) return;
    const handles = async () => (await installation.issuer.list(subject)).map(({ handle }) => handle);
    await eventually(async () => expect(await handles()).toContain(handleOfMint(subject)));
  });
  await untilQuiet(installation);
  await watching.stop();
  expect(watching.wrong).toEqual([]);
  for (const { shape, point, subject } of cases)
    await expectSound(installation, subject, shape.ends, `${shape.name}, late ${nameOf(point)}`);
}, 120_000);
