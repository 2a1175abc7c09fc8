import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../setup/eventually.ts';
import type { Point } from '../../setup/faulty.ts';
import { type TestInstallation, testInstallation } from '../../setup/installation.ts';
import { openOrder } from '../../setup/orders.ts';
import { startCrashingWorker } from './crash.ts';
import { unattendedFlows } from './flows.ts';
import { type LiveClient, liveClient } from './liveClient.ts';
import { expectSound, untilQuiet } from './outside.ts';
import { command, open, requestOf, rotation, type Subject, subjectOf } from './shapes.ts';

let installation: TestInstallation;

beforeAll(async () => {
  installation = await testInstallation({ flows: unattendedFlows, leaseMs: 6_000 });
});
afterAll(async () => {
  await installation?.close();
});

/** Where what is served, what is accepted and what is recorded differ most: one identity is killed at each. */
const killPoints: readonly Point[] = [
  { step: 'advance(create): ledger.transaction', when: 'after', occurrence: 1 },
  { step: 'promote: issuer.extend', when: 'after', occurrence: 1 },
  { step: 'promote: store.promote', when: 'before', occurrence: 1 },
  { step: 'promote: store.promote', when: 'after', occurrence: 1 },
  { step: 'advance(promote): ledger.transaction', when: 'before', occurrence: 1 },
  { step: 'advance(promote): ledger.transaction', when: 'after', occurrence: 1 },
];
const rollbackKillPoints = killPoints.map((point) =>
  point.step.startsWith('advance(create)') ? { ...point, step: 'advance(nudge): ledger.transaction' } : point,
);
const destroyKillPoints: readonly Point[] = ['issuer.destroy', 'issuer.list', 'store.discard'].flatMap((call) =>
  (['before', 'after'] as const).map((when) => ({ step: `destroy: ${call}`, when, occurrence: 1 })),
);

test('no login of a client ever fails while its credential is rotated, rolled back and rotated again, and workers are killed', async () => {
  const subjects = await withWorker(() => Promise.all(killPoints.map(() => rotation.prepare(installation))));
  const clients = subjects.map(({ identityId }) => liveClient(installation, identityId));
  try {
    await killedDuring(subjects, killPoints, (subject) => open(installation, subject));
    await withWorker(() => allReach(subjects, 'awaiting-consumers', 2));

    await killedDuring(subjects, rollbackKillPoints, (subject) => command(installation, subject, 'rollback'));
    await withWorker(() => allReach(subjects, 'awaiting-consumers', 3));

    // The clients now say what they use: version 2 is destroyed under the feet of those who are killed.
    await killedDuring(subjects, destroyKillPoints, async () => clients.forEach(beginAcknowledging));
    const again = subjects.map(({ identityId }) => subjectOf(openOrder('rotation', { identityId })));
    await withWorker(async () => {
      await allReach(subjects, 'completed', 3);
      await Promise.all(again.map((subject) => open(installation, subject)));
      await allReach(again, 'completed', 4);
      await untilQuiet(installation);
    });
    for (const subject of again)
      await expectSound(
        installation,
        subject,
        { ...rotation.ends, liveVersions: [3] },
        'rotated, rolled back, rotated',
      );
  } finally {
    await Promise.all(clients.map((client) => client.stop()));
  }
  expect(clients.flatMap(({ refused }) => refused)).toEqual([]);
  for (const client of clients) expect(client.epochs()).toEqual([1, 2, 3, 4]);
}, 240_000);

function beginAcknowledging(client: LiveClient): void {
  client.beginAcknowledging();
}

/** `work` for each subject under a worker that is killed when each has come to its point. */
async function killedDuring(
  subjects: readonly Subject[],
  points: readonly Point[],
  work: (subject: Subject) => Promise<void>,
): Promise<void> {
  const deaths = subjects.flatMap(({ workflowId }, index) => {
    const point = points[index];
    return point === undefined ? [] : [{ workflowId, point }];
  });
  const worker = await startCrashingWorker(installation, { deaths });
  try {
    await Promise.all(subjects.map(work));
    await worker.killed;
  } finally {
    worker.stop();
  }
}

async function withWorker<T>(work: () => Promise<T>): Promise<T> {
  const stopWorker = await installation.startWorker();
  try {
    return await work();
  } finally {
    await stopWorker();
  }
}

/** Each request stands there, and its consumers have what that epoch serves. */
async function allReach(subjects: readonly Subject[], state: string, epoch: number): Promise<void> {
  await eventually(async () => {
    for (const subject of subjects) {
      expect((await requestOf(installation, subject)).state).toBe(state);
      expect(await installation.store.read(subject)).toMatchObject({ epoch });
    }
  }, 90_000);
}
