import { afterAll, beforeAll, expect, test } from 'vitest';
import type { z } from 'zod';
import type { RequestGateway } from '../../api/ports.ts';
import type { MassRevocationBody, MassRevocationDetail } from '../../api/representations/massRevocation.ts';
import { verifyChains } from '../../ledger/evidenceVerification.ts';
import { type ByHand, byHand } from '../setup/byHand.ts';
import { eventually } from '../setup/eventually.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { type InstallationApi, installationApi } from '../setup/installationApi.ts';
import { interruptions } from '../setup/interruptions.ts';
import { onboardingOrder } from '../setup/orders.ts';
import { startCrashingWorker } from './faults/crash.ts';
import { eachOf } from './faults/steps.ts';
import { approvedFlow, plainFlows } from './flows.ts';

/** On real parts, through the API: the limits as the issuer sees them, what refuses, what is killed, and what is left. */

type Detail = z.output<typeof MassRevocationDetail>;

const paces = {
  'main-db': { concurrency: 4, perSecond: 50 },
  'other-db': { concurrency: 2, perSecond: 5 },
} as const;
type IssuerName = keyof typeof paces;
const issuerNames: readonly IssuerName[] = ['main-db', 'other-db'];

const faults = interruptions();
const issuerOf = new Map<string, IssuerName>();
/** Destroys that the issuer is carrying out, by its name: now, and the most there ever were. */
const destroys = { now: new Map<string, number>(), most: new Map<string, number>() };
let installation: TestInstallation;
let hand: ByHand;
let api: InstallationApi;

beforeAll(async () => {
  installation = await testInstallation({
    flows: [...plainFlows.slice(1), onboardingBelowProduction, approvedFlow('onboarding')],
    leaseMs: 60_000,
    paceOf: (issuer) => paces[issuer === 'other-db' ? 'other-db' : 'main-db'],
    wrapStore: faults.wrapStore,
    wrapIssuer(real) {
      const issuer = faults.wrapIssuer(real);
      return {
        ...issuer,
        async destroy(order) {
          const name = issuerOf.get(order.identityId) ?? 'unknown';
          const now = (destroys.now.get(name) ?? 0) + 1;
          destroys.now.set(name, now);
          destroys.most.set(name, Math.max(now, destroys.most.get(name) ?? 0));
          try {
            await issuer.destroy(order);
          } finally {
            destroys.now.set(name, (destroys.now.get(name) ?? 0) - 1);
          }
        },
      };
    },
  });
  hand = byHand(installation);
  // No call of a mass revocation reaches Temporal: a gateway that nothing answers is as good as any.
  const down = () => Promise.reject(new Error('14 UNAVAILABLE: no connection'));
  const gateway: RequestGateway = { open: down, decide: down, nudge: down, isReachable: async () => false };
  api = await installationApi(installation, { gateway });
});
afterAll(async () => {
  await api?.close();
  await installation?.close();
});

const onboardingBelowProduction = `
apiVersion: tenure/v1
kind: Flow
metadata: {name: onboarding-below, owner: tests, description: "nothing is asked"}
on: onboarding
subject: {where: 'subject.environment != "production"'}
stages:
  - {id: effect, effect: issue}
`;

async function onboarded(issuer: IssuerName, integration: string): Promise<string> {
  const { requestId, identityId } = await hand.open(onboardingOrder({ issuer, integration }));
  await hand.carryOutAll(requestId);
  issuerOf.set(identityId, issuer);
  return identityId;
}

async function onboardedMany(counts: Readonly<Record<IssuerName, number>>, integration: string): Promise<string[]> {
  const identityIds: string[] = [];
  const wanted = issuerNames.flatMap((name) => Array.from({ length: counts[name] }, () => name));
  await eachOf(wanted, 4, async (name) => {
    identityIds.push(await onboarded(name, integration));
  });
  // As if they had been issued some time ago: nothing waits for a lease.
  await installation.ledger.prisma.credential.updateMany({
    where: { identityId: { in: identityIds } },
    data: { leaseEndsAt: new Date() },
  });
  return identityIds;
}

async function started(integration: string, confirm: number): Promise<MassRevocationBody> {
  const reason = 'a compromised build host';
  const body = { integrations: [integration], reason, confirm: 'everything' };
  const { id } = await api.as<{ id: string }>('responder', '/v1/freezes', body);
  return api.as('responder', `/v1/freezes/${id}/revocations`, { reason, confirm });
}

const pathOf = ({ freezeId, id }: { freezeId: string; id: string }) => `/v1/freezes/${freezeId}/revocations/${id}`;
const read = (of: { freezeId: string; id: string }) => api.as<Detail>('auditor', pathOf(of));

/** What a person sees who looks until it is so. */
function untilIt(of: MassRevocationBody, is: (now: Detail) => boolean): Promise<Detail> {
  return eventually(async () => {
    const now = await read(of);
    if (!is(now)) throw new Error(`not yet: ${JSON.stringify({ state: now.state, total: now.total })}`);
    return now;
  }, 50_000);
}

async function expectGone(identityIds: readonly string[]): Promise<void> {
  const { issuer, store, ledger } = installation;
  for (const identityId of identityIds) {
    expect(await issuer.list({ identityId }), identityId).toEqual([]);
    expect(await store.read({ identityId }), identityId).toMatchObject({ kind: 'tombstone' });
    const { state } = await ledger.prisma.identity.findUniqueOrThrow({ where: { id: identityId } });
    expect(state, identityId).toBe('revoked');
  }
  expect(await verifyChains(ledger.prisma, ledger.evidence)).toMatchObject({ ok: true });
}

test('forty subjects of two issuers are revoked within the limits of each, though the worker stops in the middle, and everything is gone', {
  timeout: 120_000,
}, async () => {
  const identityIds = await onboardedMany({ 'main-db': 26, 'other-db': 13 }, 'payments');
  const unissued = (await hand.open(onboardingOrder({ integration: 'payments', environment: 'production' })))
    .identityId;
  const massRevocation = await started('payments', 40);
  expect(massRevocation.total).toMatchObject({ waiting: 40 });

  const stop = await installation.startWorker();
  await untilIt(massRevocation, ({ total }) => total.revoked >= 5);
  await stop();
  expect((await read(massRevocation)).state).toBe('running');
  const stopAgain = await installation.startWorker();
  const { report, issuers, total } = await untilIt(massRevocation, ({ state }) => state === 'closed');
  await stopAgain();

  expect(total).toMatchObject({ revoked: 40, waiting: 0, underWay: 0, stuck: 0 });
  expect(issuers.map(({ issuer, revoked }) => [issuer, revoked])).toEqual([
    ['main-db', 27],
    ['other-db', 13],
  ]);
  expect(report).toMatchObject({
    startedBy: 'responder@tenure.example',
    subjects: { revoked: 40, letGo: 0 },
    resolvedByHand: { count: 0 },
    residual: { count: 0, worst: null },
  });
  expect((report?.receipts.tried ?? 0) + (report?.receipts.absent ?? 0)).toBe(39);
  for (const name of issuerNames) {
    expect(destroys.most.get(name), name).toBeGreaterThan(0);
    expect(destroys.most.get(name), name).toBeLessThanOrEqual(paces[name].concurrency);
    await expectBegunWithin(massRevocation.id, name);
  }
  await expectGone(identityIds);
  const { state } = await installation.ledger.prisma.identity.findUniqueOrThrow({ where: { id: unissued } });
  expect(state).toBe('rejected');
});

/** In no window of a second did more begin than the issuer bears. */
async function expectBegunWithin(massRevocationId: string, issuer: IssuerName): Promise<void> {
  const rows = await installation.ledger.prisma.massRevocationSubject.findMany({
    where: { massRevocationId, issuer },
    orderBy: { begunAt: 'asc' },
  });
  const instants = rows.map(({ begunAt }) => begunAt?.getTime() ?? Number.NaN);
  for (const [index, instant] of instants.entries()) {
    const within = instants.filter((other, at) => at >= index && other < instant + 1000).length;
    expect(within, issuer).toBeLessThanOrEqual(paces[issuer].perSecond);
  }
}

test('what the issuer refuses is stuck and listed, more of it than may be under way keeps nobody waiting, and a person resolves it', {
  timeout: 120_000,
}, async () => {
  const identityIds = await onboardedMany({ 'main-db': 0, 'other-db': 8 }, 'search');
  const [mended = '', ...dead] = identityIds.slice(0, 3);
  class IssuerRefused extends Error {
    override readonly name = 'IssuerRefused';
  }
  const refusal = new IssuerRefused('the directory is read-only');
  const mends = [mended, ...dead].map((identityId) => faults.fail('before destroy', identityId, refusal));
  const massRevocation = await started('search', 8);
  const stop = await installation.startWorker();
  // Five finish although three are stuck and two may be under way.
  const { stuck } = await untilIt(massRevocation, ({ total }) => total.revoked === 5 && total.stuck === 3);
  expect(stuck.map(({ identityId }) => identityId).sort()).toEqual([mended, ...dead].sort());
  for (const { error, issuer, requestId } of stuck)
    expect([error, issuer, requestId]).toEqual([refusal.message, 'other-db', expect.any(String)]);

  mends[0]?.();
  const reason = 'the directory was scrapped, ticket 4712';
  for (const { identityId, requestId } of stuck) {
    const path = `/v1/requests/${requestId}`;
    if (identityId === mended) await api.as('responder', `${path}/retry`, { reason: 'it answers again' });
    else await api.as('responder-2', `${path}/resolution`, { version: 1, reason });
  }
  const { report } = await untilIt(massRevocation, ({ state }) => state === 'closed');
  await stop();
  expect(report?.receipts).toMatchObject({ unverifiable: 2, missing: 0 });
  expect(report?.resolvedByHand.count).toBe(2);
  expect(report?.resolvedByHand.first.map((each) => [each.identityId, each.reason]).sort()).toEqual(
    dead.map((identityId) => [identityId, reason]).sort(),
  );
  const credentials = await installation.ledger.prisma.credential.findMany({ where: { identityId: { in: dead } } });
  const latest = credentials
    .map(({ expiresAt }) => expiresAt?.toISOString() ?? '')
    .sort()
    .at(-1);
  expect(report?.residual).toMatchObject({ count: 2, worst: { version: 1, until: latest } });
  await expectGone(identityIds.filter((identityId) => !dead.includes(identityId)));
  const closing = await installation.ledger.prisma.evidenceEntry.findFirstOrThrow({
    where: { chain: `freeze/${massRevocation.freezeId}` },
    orderBy: { id: 'desc' },
  });
  expect(JSON.parse(closing.body)).toMatchObject({
    kind: 'mass-revocation.closed',
    data: { massRevocationId: massRevocation.id, residual: { worst: { until: latest } } },
  });
});

test('a worker that is killed in the middle has lost nothing', { timeout: 120_000 }, async () => {
  const identityIds = await onboardedMany({ 'main-db': 12, 'other-db': 4 }, 'billing');
  const massRevocation = await started('billing', 16);
  // Dead where the issuer has destroyed one of them and nobody knows.
  const workflowId = `revocation/${identityIds.toSorted()[7]}`;
  const point = { step: 'destroy: issuer.destroy', when: 'after', occurrence: 1 } as const;
  const worker = await startCrashingWorker(installation, { deaths: [{ workflowId, point }] });
  await worker.killed;
  expect((await read(massRevocation)).state).toBe('running');
  const stop = await installation.startWorker();
  const { report } = await untilIt(massRevocation, ({ state }) => state === 'closed');
  await stop();
  expect(report).toMatchObject({ subjects: { revoked: 16, letGo: 0 }, residual: { count: 0 } });
  expect(
    await installation.ledger.prisma.request.count({ where: { identityId: { in: identityIds }, kind: 'revocation' } }),
  ).toBe(16);
  await expectGone(identityIds);
});
