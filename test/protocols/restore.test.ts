import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { verifyChains } from '../../ledger/evidenceVerification.ts';
import { openRequest } from '../../ledger/open.ts';
import { answerFork, confirmRestore, observeIfRestored, restoreInForce } from '../../ledger/restore.ts';
import { sealOnce } from '../../ledger/sealer.ts';
import { EvidenceForked } from '../../ledger/sealerSteps.ts';
import { secondsFromNow } from '../contract/issuers/issuerContract.ts';
import { backUp } from '../setup/backup.ts';
import { eventually } from '../setup/eventually.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { type InstallationParts, installationParts } from '../setup/installationParts.ts';
import { untilLedgerClockPasses } from '../setup/ledgerClock.ts';
import { onboardingOrder, opened, openOrder } from '../setup/orders.ts';
import { comparedParts, findingsOf, reconcile } from '../setup/reconciling.ts';
import { plainFlow } from './flows.ts';

/**
 * A ledger from a backup, put back after more was done: identities rotated, revoked and onboarded since. The issuer
 * remembers, the ledger and its sealed store do not.
 */

let installation: TestInstallation;
let after: InstallationParts;
let stopWorker: (() => Promise<void>) | undefined;

const rotation = plainFlow('rotation').replace('limits: {grace: PT1H}', 'limits: {grace: PT1S}');
const leaseMs = 2_000;
const admin = 'admin@tenure.example';

/** What `worker/main.ts` does before it takes up any work. */
async function startWorkerOf(parts: InstallationParts): Promise<() => Promise<void>> {
  await observeIfRestored(parts.ledger, sealingOf(parts));
  return parts.startWorker();
}

function sealingOf({ ledger }: InstallationParts) {
  const headFile = join(installation.place.keyDirectory, 'evidence-head');
  return { direct: ledger.direct, keys: ledger.evidence, headFile };
}

async function seal(parts: InstallationParts): Promise<void> {
  while ((await sealOnce(sealingOf(parts))).sealed > 0);
}

async function completed(parts: InstallationParts, requestId: string): Promise<void> {
  await eventually(async () => {
    await parts.activities.runDueWork();
    const request = await parts.ledger.prisma.request.findUniqueOrThrow({ where: { id: requestId } });
    expect([request.state, request.owesDestroys]).toEqual(['completed', false]);
  }, 40_000);
}

async function onboarded(): Promise<string> {
  const { requestId, identityId } = await opened(installation, onboardingOrder());
  await completed(installation, requestId);
  return identityId;
}

async function rotated(identityId: string): Promise<void> {
  const { requestId } = await opened(installation, openOrder('rotation', { identityId }));
  await completed(installation, requestId);
}

const handlesOf = async (identityId: string) =>
  (await after.issuer.list({ identityId })).map(({ handle }) => handle.slice(identityId.length + 1)).sort();
const identityOf = (identityId: string) =>
  after.ledger.prisma.identity.findUniqueOrThrow({ where: { id: identityId } });
const evidenceKinds = async (chain: string) => {
  const rows = await after.ledger.prisma.evidenceEntry.findMany({ where: { chain }, orderBy: { id: 'asc' } });
  return rows.map(({ body }) => (JSON.parse(body) as { kind: string }).kind);
};

const ids = { rotated: '', revoked: '', onboarded: '', untouched: '', rotating: '', begun: '' };
let begunRotation = '';

beforeAll(async () => {
  installation = await testInstallation({
    flows: [plainFlow('onboarding'), rotation, plainFlow('revocation')],
    leaseMs,
  });
  const stop = await startWorkerOf(installation);
  for (const name of ['rotated', 'revoked', 'untouched', 'rotating', 'begun'] as const) ids[name] = await onboarded();
  await seal(installation);

  // What falls due after the backup is due in the copy as well.
  await installation.ledger.prisma.dueWork.updateMany({
    where: { kind: 'rotation', subjectId: ids.rotating },
    data: { dueAt: secondsFromNow(-60) },
  });
  await stop();
  // Its intent is in the backup, and nothing of it at the issuer yet; the lifecycle would take it up at once.
  const begun = await openRequest(installation.ledger, openOrder('rotation', { identityId: ids.begun }));
  if (!begun.opened) throw new Error(begun.detail);
  begunRotation = begun.requestId;
  await installation.ledger.prisma.request.update({
    where: { id: begunRotation },
    data: { wakeAt: secondsFromNow(-60) },
  });
  const backup = await backUp(installation.databaseUrl);
  const stopAgain = await startWorkerOf(installation);
  await rotated(ids.rotated);
  ids.onboarded = await onboarded();
  const { requestId } = await opened(installation, openOrder('revocation', { identityId: ids.revoked }));
  await completed(installation, requestId);
  await eventually(async () => {
    await installation.activities.runDueWork();
    const credentials = await installation.ledger.prisma.credential.findMany({ where: { identityId: ids.rotating } });
    expect(credentials.map(({ state }) => state).sort()).toEqual(['current', 'destroyed']);
  }, 40_000);
  await completed(installation, begunRotation);
  await seal(installation);
  await stopAgain();

  await backup.putBack();
  after = await installationParts(installation.place);
  stopWorker = await startWorkerOf(after);
}, 180_000);

afterAll(async () => {
  await stopWorker?.();
  await after?.close();
  await installation?.close();
});

test('a ledger that is older than the signed head is observe-only from the start, and says so', async () => {
  expect(await restoreInForce(after.ledger.prisma)).toMatchObject({ confirmedAt: null, resumedAt: null });
  expect(await evidenceKinds('installation')).toContain('installation.restored');
  // Started once more, it is the same restore.
  await stopWorker?.();
  stopWorker = await startWorkerOf(after);
  expect(await after.ledger.prisma.ledgerRestore.count()).toBe(1);
});

test('observe-only, everything that differs is reported and nothing is repaired, issued or destroyed', async () => {
  const first = await reconcile(after);
  // Past the patience with what is unknown: only the restore keeps it from being destroyed now.
  await untilLedgerClockPasses(after, new Date(Date.now() + leaseMs + 200));
  const runs = [...first, ...(await reconcile(after))];
  expect(runs.every(({ observeOnly, repaired }) => observeOnly && repaired === 0)).toBe(true);
  expect(await findingsOf(after, ids.rotated)).toEqual(['missing v1 open', 'unknown v2 open']);
  expect(await findingsOf(after, ids.rotating)).toEqual(['missing v1 open', 'unknown v2 open']);
  expect(await findingsOf(after, ids.onboarded)).toEqual(['unknown v1 open']);
  expect(await findingsOf(after, ids.revoked)).toEqual(['missing v1 open']);
  expect(await findingsOf(after, ids.untouched)).toEqual([]);
  // The rotation that the old ledger still has as due was not begun.
  expect(await after.ledger.prisma.request.count({ where: { kind: 'rotation', id: { not: begunRotation } } })).toBe(0);
  expect(await Promise.all([ids.rotated, ids.rotating, ids.begun, ids.onboarded, ids.revoked].map(handlesOf))).toEqual([
    ['v2'],
    ['v2'],
    ['v2'],
    ['v1'],
    [],
  ]);
});

test('observe-only, nothing new is issued, and the refusal says why', async () => {
  const identityId = ids.untouched;
  expect(await after.gateway.open(openOrder('rotation', { identityId }))).toMatchObject({ slug: 'observe-only' });
  expect(await after.gateway.open(onboardingOrder())).toMatchObject({ opened: false, slug: 'observe-only' });
});

test('an effect that was on its way when the ledger was put back does nothing', async () => {
  const identityId = ids.untouched;
  await expect(after.effects.destroy({ identityId, version: 1 })).rejects.toThrow(/observe-only/);
  await expect(after.effects.promote({ identityId, version: 1, epoch: 1 })).rejects.toThrow(/observe-only/);
  expect(await handlesOf(identityId)).toEqual(['v1']);
});

test('a request that the backup holds open is not taken up again, by whatever way', async () => {
  const event = { kind: 'nudge', id: 'nudge' } as const;
  await expect(after.activities.advance({ requestId: begunRotation, event })).rejects.toThrow(/observe-only/);
  await after.gateway.nudge({ kind: 'rotation', identityId: ids.begun }, begunRotation);
  await after.activities.runDueWork();
  const credentials = await after.ledger.prisma.credential.findMany({ where: { identityId: ids.begun } });
  expect(credentials.map(({ state }) => state).sort()).toEqual(['current', 'minting']);
  expect(await handlesOf(ids.begun)).toEqual(['v2']);
  // Its run waits with a timer, not with a workflow task that is kept alive: a day of it costs little history.
  await eventually(async () => {
    const { events = [] } = await after.client.workflow.getHandle(`rotation/${ids.begun}`).fetchHistory();
    expect(events?.at(-1)?.timerStartedEventAttributes?.startToFireTimeout?.seconds?.toString()).toBe('120');
  });
});

test('a revocation that somebody asks for now is carried out all the same', async () => {
  const { requestId, identityId } = { ...openOrder('revocation', { identityId: ids.untouched }) };
  const result = await after.gateway.open(openOrder('revocation', { identityId }));
  if (!result.opened) throw new Error(`${requestId}: ${result.detail}`);
  await eventually(async () => {
    const request = await after.ledger.prisma.request.findUniqueOrThrow({ where: { id: result.requestId } });
    expect(request.state).toBe('completed');
  }, 30_000);
  expect(await handlesOf(identityId)).toEqual([]);
});

test('confirmed, every inventory is read once more: counters rise, what looks revoked is frozen, then the ledger acts', async () => {
  const order = { by: admin, reason: 'restored after the disk failure', parts: comparedParts };
  expect(await confirmRestore(after.ledger, order)).toMatchObject({ confirmed: true });
  expect(await restoreInForce(after.ledger.prisma)).toMatchObject({ confirmedBy: admin });
  await eventually(async () => {
    await after.activities.runDueWork();
    expect(await restoreInForce(after.ledger.prisma)).toBeUndefined();
  });
  expect((await identityOf(ids.rotated)).highestVersion).toBe(2);
  expect(await evidenceKinds(`identity/${ids.rotated}`)).toContain('identity.counters-raised');
  const freezes = await after.ledger.prisma.freeze.findMany();
  expect(freezes.map(({ identityIds, openedBy }) => [identityIds, openedBy])).toEqual([
    [[ids.revoked], 'system:reconciler'],
  ]);
  expect(await evidenceKinds('installation')).toEqual(
    expect.arrayContaining(['installation.restored', 'installation.resume-confirmed', 'installation.resumed']),
  );
  expect(await confirmRestore(after.ledger, order)).toMatchObject({ slug: 'not-observe-only' });
});

test('then what is nobody’s is destroyed with a receipt, and what may be in use stays until a rotation took its place', async () => {
  await reconcile(after);
  expect(await findingsOf(after, ids.onboarded)).toEqual(['unknown v1 repaired']);
  expect(await handlesOf(ids.onboarded)).toEqual([]);
  expect(await handlesOf(ids.rotated)).toEqual(['v2']);

  const result = await after.gateway.open(openOrder('rotation', { identityId: ids.rotated }));
  if (!result.opened) throw new Error(result.detail);
  await completed(after, result.requestId);
  expect(await handlesOf(ids.rotated)).toEqual(['v2', 'v3']);
  await reconcile(after);
  expect(await findingsOf(after, ids.rotated)).toEqual(['missing v1 repaired', 'unknown v2 repaired']);
  expect(await handlesOf(ids.rotated)).toEqual(['v3']);
  const served = await after.store.read({ identityId: ids.rotated });
  if (served?.kind !== 'value') throw new Error('nothing is served');
  expect(await after.issuer.prove({ handle: `${ids.rotated}-v3`, secret: served.value })).toBe('accepted');
});

test('a request that was held back goes on by itself, to a credential that the store serves and the issuer accepts', async () => {
  // Its workflow asks every two minutes; a person who knows may ask at once.
  await after.client.workflow.getHandle(`rotation/${ids.begun}`).terminate('asked again at once');
  await after.gateway.nudge({ kind: 'rotation', identityId: ids.begun }, begunRotation);
  await completed(after, begunRotation);
  const served = await after.store.read({ identityId: ids.begun });
  if (served?.kind !== 'value') throw new Error('nothing is served');
  expect(await after.issuer.prove({ handle: `${ids.begun}-v${served.version}`, secret: served.value })).toBe(
    'accepted',
  );
  expect(await handlesOf(ids.begun)).toEqual([`v${served.version}`]);
});

test('an identity that looks revoked is not issued to again before somebody has looked', async () => {
  const result = await after.gateway.open(openOrder('rotation', { identityId: ids.revoked }));
  if (!result.opened) throw new Error(result.detail);
  expect(result.plan).toMatchObject({ state: 'held', effects: [] });
  expect(await handlesOf(ids.revoked)).toEqual([]);
});

test('evidence is sealed again, in a log with another name, and the lost head is in it', async () => {
  const sealing = sealingOf(after);
  const fork = await sealOnce(sealing).catch((error: unknown) => error);
  if (!(fork instanceof EvidenceForked)) throw new Error('the lost entries were not missed');
  await answerFork(after.ledger, fork.signed);
  await seal(after);
  const newest = await after.ledger.prisma.evidenceCheckpoint.findFirstOrThrow({ orderBy: { size: 'desc' } });
  expect(newest.note.split('\n')[0]).toBe(`${after.ledger.evidence.origin}/restored-2`);
  expect(await evidenceKinds('installation')).toContain('installation.log-begun');
  expect(await verifyChains(after.ledger.prisma, after.ledger.evidence)).toMatchObject({ ok: true });
});

test('a restore that was confirmed stays confirmed: the same head is no new restore', async () => {
  await stopWorker?.();
  stopWorker = await startWorkerOf(after);
  expect(await restoreInForce(after.ledger.prisma)).toBeUndefined();
});
