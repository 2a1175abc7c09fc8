import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { z } from 'zod';
import type { MassRevocationBody, MassRevocationDetail } from '../../api/representations/massRevocation.ts';
import type { NewSubject } from '../../contracts/open.ts';
import { revokeNow } from '../../ledger/revoke.ts';
import { type ByHand, byHand } from '../setup/byHand.ts';
import { eventually } from '../setup/eventually.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { type InstallationApi, installationApi } from '../setup/installationApi.ts';
import { interruptions } from '../setup/interruptions.ts';
import { type Opened, onboardingOrder, openOrder } from '../setup/orders.ts';
import { approvedFlow, plainFlow } from './flows.ts';

/** Of an identity that was rejected while its credential was being made: whoever revokes it waits for the destroy. */

/** Revocations are asked for in production only. */
const flows = [
  plainFlow('onboarding'),
  plainFlow('revocation').replace('subject: {}', `subject: {where: 'subject.environment != "production"'}`),
  approvedFlow('revocation'),
];

const faults = interruptions();
let installation: TestInstallation;
let hand: ByHand;
let api: InstallationApi;

beforeAll(async () => {
  installation = await testInstallation({ flows, leaseMs: 60_000, ...faults });
  hand = byHand(installation);
  api = await installationApi(installation);
});
afterAll(async () => {
  await api?.close();
  await installation?.close();
});

class IssuerRefused extends Error {
  override readonly name = 'IssuerRefused';
}

/** Its credential exists at the issuer, and is not committed. */
async function beingIssued(change: Partial<NewSubject>): Promise<Opened> {
  const onboarding = await hand.open(onboardingOrder(change));
  await hand.perform(await hand.orderOf(onboarding.requestId, 'create'));
  expect(await installation.issuer.list({ identityId: onboarding.identityId })).toHaveLength(1);
  return onboarding;
}

/** As if the time had passed. */
const endLease = (identityId: string) =>
  installation.ledger.prisma.credential.updateMany({ where: { identityId }, data: { leaseEndsAt: new Date() } });

const stateOf = async (identityId: string) =>
  (await installation.ledger.prisma.identity.findUniqueOrThrow({ where: { id: identityId } })).state;

const revocationOf = (identityId: string) => {
  const order = openOrder('revocation', { identityId, idempotencyKey: randomUUID() });
  return revokeNow(installation.ledger, { ...order, kind: 'revocation' });
};

test('a mass revocation stays open while what a cancelling freeze rejected owes its destroy, and lists it with its error', {
  timeout: 120_000,
}, async () => {
  const [early, late, dead] = await Promise.all(
    ['early', 'late', 'dead'].map(() => beingIssued({ integration: 'payments' })),
  );
  if (early === undefined || late === undefined || dead === undefined) throw new TypeError('three were opened');
  const refusal = new IssuerRefused('the directory is read-only');
  const mends = [early, late, dead].map(({ identityId }) => faults.fail('before destroy', identityId, refusal));

  const reason = 'a compromised build host';
  const selector = { integrations: ['payments'], mode: 'cancel', reason, confirm: 'everything' };
  const { id: freezeId } = await api.as<{ id: string }>('responder', '/v1/freezes', selector);
  // Two are rejected before the mass revocation looks, one after it has.
  for (const { requestId } of [early, dead]) await hand.planOf(requestId);
  const path = `/v1/freezes/${freezeId}/revocations`;
  const { id, total } = await api.as<MassRevocationBody>('responder', path, { reason, confirm: 3 });
  expect(total).toMatchObject({ waiting: 3 });
  await hand.planOf(late.requestId);
  for (const { identityId, requestId } of [early, late, dead]) {
    expect(await stateOf(identityId)).toBe('rejected');
    expect(await hand.stateOf(requestId)).toEqual({ state: 'cancelled', reason: 'frozen' });
    await endLease(identityId);
  }

  const until = (is: (now: z.output<typeof MassRevocationDetail>) => boolean) =>
    eventually(async () => {
      const now = await api.as<z.output<typeof MassRevocationDetail>>('auditor', `${path}/${id}`);
      if (!is(now)) throw new Error(`not yet: ${JSON.stringify({ state: now.state, total: now.total })}`);
      return now;
    }, 50_000);
  const stop = await installation.startWorker();
  const { stuck, state } = await until((now) => now.total.stuck === 3 || now.state === 'closed');
  expect(state).toBe('running');
  expect(stuck.map(({ identityId, error }) => [identityId, error]).sort()).toEqual(
    [early, late, dead].map(({ identityId }) => [identityId, refusal.message]).sort(),
  );

  for (const mend of mends.slice(0, 2)) mend();
  const vouched = 'the directory was scrapped, ticket 4712';
  for (const { identityId, requestId } of stuck) {
    const request = `/v1/requests/${requestId}`;
    if (identityId !== dead.identityId) await api.as('responder', `${request}/retry`, { reason: 'it answers again' });
  }
  expect(await until((now) => now.total.revoked === 2)).toMatchObject({ state: 'running', total: { stuck: 1 } });
  const last = stuck.find(({ identityId }) => identityId === dead.identityId);
  await api.as('responder-2', `/v1/requests/${last?.requestId}/resolution`, { version: 1, reason: vouched });
  const { report } = await until((now) => now.state === 'closed');
  expect(report?.receipts).toMatchObject({ unverifiable: 1, missing: 0 });
  expect((report?.receipts.tried ?? 0) + (report?.receipts.absent ?? 0)).toBe(2);
  expect(report?.resolvedByHand.first).toMatchObject([{ identityId: dead.identityId, reason: vouched }]);
  expect(report?.residual).toMatchObject({ count: 0 });
  for (const { identityId } of [early, late]) expect(await installation.issuer.list({ identityId })).toEqual([]);
  await stop();
  // What waits to be tried once more finds that nothing is left to destroy.
  for (const { requestId } of [early, late, dead]) {
    const { plan } = await hand.command(requestId, { do: 'retry', by: 'responder@tenure.example', reason: 'look' });
    expect(plan).toMatchObject({ done: true, effects: [] });
  }
});

test('a rejected identity is revoked as long as a credential of it is not destroyed, and stays rejected', async () => {
  const { requestId, identityId } = await beingIssued({ integration: 'search' });
  await hand.command(requestId, { do: 'cancel', by: 'responder@tenure.example', reason: 'not now' });
  expect(await stateOf(identityId)).toBe('rejected');
  const revocation = await revocationOf(identityId);
  expect(revocation).toMatchObject({ opened: true, created: true });
  expect(await stateOf(identityId)).toBe('rejected');
  await endLease(identityId);
  await hand.carryOutAll(revocation.opened ? revocation.requestId : '');
  expect(await installation.issuer.list({ identityId })).toEqual([]);
  expect(await hand.credentialsOf(identityId)).toBe('v1 destroyed');
  expect(await revocationOf(identityId)).toMatchObject({ opened: false, slug: 'not-active' });
});

test('a revocation that waits for its flow while the onboarding is cancelled comes to its end', async () => {
  const { requestId, identityId } = await beingIssued({ integration: 'billing', environment: 'production' });
  const revocation = await hand.open(openOrder('revocation', { identityId }));
  await hand.command(requestId, { do: 'cancel', by: 'responder@tenure.example', reason: 'not now' });
  expect(await hand.stateOf(revocation.requestId)).toMatchObject({ state: 'awaiting-approval' });
  for (const by of ['security-1@tenure.example', 'security-2@tenure.example'])
    await hand.decide({ requestId: revocation.requestId, by });
  await endLease(identityId);
  await hand.carryOutAll(revocation.requestId);
  expect(await hand.stateOf(revocation.requestId)).toMatchObject({ state: 'completed' });
});
