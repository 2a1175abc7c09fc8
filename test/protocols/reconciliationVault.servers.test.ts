import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import type { Store } from '../../activities/stores/store.ts';
import { createVaultStore } from '../../activities/stores/vault.ts';
import { confirmRestore, observeIfRestored, restoreInForce } from '../../ledger/restore.ts';
import { sealOnce } from '../../ledger/sealer.ts';
import { backUp } from '../setup/backup.ts';
import { type ByHand, byHand } from '../setup/byHand.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { untilLedgerClockPasses } from '../setup/ledgerClock.ts';
import { onboardingOrder, openOrder } from '../setup/orders.ts';
import { comparedParts, findingsOf, reconcile } from '../setup/reconciling.ts';
import { asRoot } from '../setup/vault.ts';
import { plainFlow } from './flows.ts';

/** Against a real Vault, which remembers what a restored ledger does not: it stands in place of the sealed store. */

const vault = inject('vault');
const prefix = `${vault.prefix}/reconciled-${randomBytes(4).toString('hex')}`;
const rotation = plainFlow('rotation').replace('limits: {grace: PT1H}', 'limits: {grace: PT1S}');
let store: Store & { close(): Promise<void> };
let installation: TestInstallation;
let hand: ByHand;

beforeAll(async () => {
  const { address, mount, approle } = vault;
  const login = { mount: approle.mount, roleId: approle.roleId, secretId: () => approle.secretId };
  store = createVaultStore('sealed', { address, mount, prefix, approle: login });
  installation = await testInstallation({
    flows: [plainFlow('onboarding'), rotation, plainFlow('revocation')],
    leaseMs: 1_000,
    wrapStore: () => store,
  });
  hand = byHand(installation);
});
afterAll(async () => {
  await installation.close();
  await store.close();
});

async function onboarded(): Promise<string> {
  const { requestId, identityId } = await hand.open(onboardingOrder());
  await hand.carryOutAll(requestId);
  return identityId;
}

async function revoke(identityId: string): Promise<void> {
  const { requestId } = await hand.open(openOrder('revocation', { identityId }));
  await hand.carryOutAll(requestId);
  await leasesEnd();
  await hand.carryOutAll(requestId);
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'completed' });
}

const leasesEnd = () => untilLedgerClockPasses(installation, new Date(Date.now() + installation.ledger.leaseMs + 200));

test('a live value that somebody deleted is reported, and not written over: its epoch is unknown', async () => {
  const identityId = await onboarded();
  await asRoot(vault, 'DELETE', `${vault.mount}/data/${prefix}/live/${identityId}`);
  await reconcile(installation);
  expect(await findingsOf(installation, identityId)).toEqual(['behind open']);
  const finding = await installation.ledger.prisma.reconciliationFinding.findFirstOrThrow({ where: { identityId } });
  expect(finding.lastError).toContain('deleted outside Tenure');
  await asRoot(vault, 'POST', `${vault.mount}/undelete/${prefix}/live/${identityId}`, { versions: [1] });
  await reconcile(installation);
  expect(await findingsOf(installation, identityId)).toEqual(['behind repaired']);
});

test('a live path that was removed whole is written again; the tombstone of a revoked identity too', async () => {
  const [active, revoked] = [await onboarded(), await onboarded()];
  await revoke(revoked);
  for (const identityId of [active, revoked])
    await asRoot(vault, 'DELETE', `${vault.mount}/metadata/${prefix}/live/${identityId}`);
  await reconcile(installation);
  expect(await findingsOf(installation, active)).toEqual(['behind repaired']);
  expect(await findingsOf(installation, revoked)).toEqual(['tombstone-missing repaired']);
  expect(await store.read({ identityId: active })).toMatchObject({ kind: 'value', epoch: 1, version: 1 });
  expect(await store.read({ identityId: revoked })).toEqual({ kind: 'tombstone', epoch: 2 });
});

test('a value that somebody staged anew for a destroyed version is discarded', async () => {
  const identityId = await onboarded();
  await revoke(identityId);
  // The sweep that the revocation left due would discard it too.
  await reconcile(installation);
  const path = `${vault.mount}/data/${prefix}/staged/${identityId}/1`;
  await asRoot(vault, 'POST', path, { data: { value: 'back again' } });
  await reconcile(installation);
  expect(await findingsOf(installation, identityId)).toEqual(['staged-left v1 repaired']);
  expect(await store.inspect({ identityId })).toMatchObject({ staged: [] });
});

test('a restored ledger takes its epochs from Vault, and freezes what Vault shows to be revoked since', async () => {
  const { ledger } = installation;
  const sealing = {
    direct: ledger.direct,
    keys: ledger.evidence,
    headFile: join(installation.place.keyDirectory, 'evidence-head'),
  };
  const [rotated, revoked] = [await onboarded(), await onboarded()];
  while ((await sealOnce(sealing)).sealed > 0);
  const backup = await backUp(installation.databaseUrl);
  const { requestId } = await hand.open(openOrder('rotation', { identityId: rotated }));
  await hand.carryOutAll(requestId);
  await revoke(revoked);
  // The grace window is over by now: version 1 goes.
  await hand.carryOutAll(requestId);
  while ((await sealOnce(sealing)).sealed > 0);
  await backup.putBack();

  expect(await observeIfRestored(ledger, sealing)).toBe('restored');
  await reconcile(installation);
  expect((await findingsOf(installation, rotated)).sort()).toEqual([
    'ahead open',
    'missing v1 open',
    'unknown v2 open',
  ]);
  expect((await findingsOf(installation, revoked)).sort()).toEqual(['ahead open', 'missing v1 open']);

  await confirmRestore(ledger, { by: 'admin@tenure.example', reason: 'restored', parts: comparedParts });
  while ((await restoreInForce(ledger.prisma)) !== undefined) await installation.activities.runDueWork();
  const counters = await ledger.prisma.identity.findUniqueOrThrow({ where: { id: rotated } });
  expect([counters.epoch, counters.highestVersion]).toEqual([2, 2]);
  const freezes = await ledger.prisma.freeze.findMany();
  expect(freezes.map(({ identityIds }) => identityIds)).toEqual([[revoked]]);
  // What consumers use was touched by none of it; the next rotation goes above.
  expect(await store.read({ identityId: rotated })).toMatchObject({ epoch: 2, version: 2 });
  const next = await hand.open(openOrder('rotation', { identityId: rotated }));
  await hand.carryOutAll(next.requestId);
  expect(await store.read({ identityId: rotated })).toMatchObject({ kind: 'value', epoch: 3, version: 3 });
});
