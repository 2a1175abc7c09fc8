import { afterAll, beforeAll, expect, test } from 'vitest';
import { revokeNow } from '../../ledger/revoke.ts';
import { type ByHand, byHand } from '../setup/byHand.ts';
import { eventually } from '../setup/eventually.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { interruptions } from '../setup/interruptions.ts';
import { onboardingOrder, opened, openOrder } from '../setup/orders.ts';
import { repeated } from '../setup/repeated.ts';
import { plainFlows } from './flows.ts';

/** A promote that was held up on its way to the store, by a pause of its process or of the network, arrives too late. */

const faults = interruptions();
let installation: TestInstallation;
let hand: ByHand;
let stopWorker: () => Promise<void>;

beforeAll(async () => {
  installation = await testInstallation({ flows: plainFlows, leaseMs: 2_000, ...faults });
  hand = byHand(installation);
  stopWorker = await installation.startWorker();
});
afterAll(async () => {
  await stopWorker?.();
  await installation?.close();
});

const responder = 'responder@tenure.example';
const served = (identityId: string) => installation.store.read({ identityId });

async function onboarded(): Promise<string> {
  const { requestId, identityId } = await opened(installation, onboardingOrder());
  await eventually(async () => expect(await hand.stateOf(requestId)).toMatchObject({ state: 'completed' }));
  return identityId;
}

/** A rotation whose promote waits just before the store is written. */
async function promoteHeld(identityId: string) {
  const hold = faults.hold('before promote', identityId);
  const { requestId } = await opened(installation, openOrder('rotation', { identityId }));
  await hold.reached;
  return { requestId, hold };
}

test.concurrent('a promote that arrives after a rollback leaves the store with what was rolled back to', async () => {
  const identityId = await onboarded();
  const { requestId, hold } = await promoteHeld(identityId);
  await hand.command(requestId, { do: 'rollback', by: responder, reason: 'broken' });
  await eventually(async () => expect(await served(identityId)).toMatchObject({ version: 1, epoch: 3 }));
  await hold.release();
  // Its own attempt is refused by the store; asked for again, it is refused by the ledger.
  expect(await installation.effects.promote({ identityId, version: 2, epoch: 2 })).toEqual({
    outcome: 'superseded',
  });
  await expect(installation.store.promote({ identityId, version: 2, epoch: 2 })).rejects.toThrow('a newer change won');
  expect(await served(identityId)).toMatchObject({ version: 1, epoch: 3 });
  await eventually(async () => expect(await hand.stateOf(requestId)).toMatchObject({ state: 'awaiting-consumers' }));
});

test.concurrent('a promote that arrives after a quarantine serves nothing, and what it would have served is refused', async () => {
  const identityId = await onboarded();
  const { hold } = await promoteHeld(identityId);
  const secret = await installation.store.readStaged({ identityId, version: 2 });
  const order = openOrder('revocation', { identityId, principal: responder, trigger: 'incident' });
  const revocation = await repeated(() => revokeNow(installation.ledger, { ...order, kind: 'revocation' }));
  if (!revocation.opened) throw new Error(revocation.detail);
  await eventually(async () => expect(await served(identityId)).toMatchObject({ kind: 'tombstone', epoch: 3 }));
  await hold.release();
  await expect(installation.store.promote({ identityId, version: 2, epoch: 2 })).rejects.toThrow('a newer change won');
  expect(await installation.effects.promote({ identityId, version: 2, epoch: 2 })).toEqual({
    outcome: 'superseded',
  });
  await eventually(
    async () => expect(await hand.stateOf(revocation.requestId)).toMatchObject({ state: 'completed' }),
    20_000,
  );
  expect(await served(identityId)).toMatchObject({ kind: 'tombstone', epoch: 3 });
  expect(await installation.issuer.list({ identityId })).toEqual([]);
  expect(await installation.issuer.prove({ handle: `${identityId}-v2`, secret: secret ?? '' })).toBe('refused');
});

test.concurrent('a promote that was held before it extended the credential brings nothing back that was destroyed', async () => {
  const identityId = await onboarded();
  const hold = faults.hold('before extend', identityId);
  await opened(installation, openOrder('rotation', { identityId }));
  await hold.reached;
  const revocation = await opened(installation, openOrder('revocation', { identityId }));
  await eventually(
    async () => expect(await hand.stateOf(revocation.requestId)).toMatchObject({ state: 'completed' }),
    20_000,
  );
  await hold.release();
  await expect(installation.issuer.extend({ handle: `${identityId}-v2`, validUntil: new Date() })).rejects.toThrow();
  expect(await installation.issuer.list({ identityId })).toEqual([]);
  expect(await served(identityId)).toMatchObject({ kind: 'tombstone' });
});
