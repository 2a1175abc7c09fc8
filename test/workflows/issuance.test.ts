import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../setup/eventually.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { decide, onboardingOrder, opened, openOrder } from '../setup/orders.ts';

const onboarding = `
apiVersion: tenure/v1
kind: Flow
metadata: {name: onboarding, owner: tests, description: "two approvals in production, none elsewhere"}
on: onboarding
subject: {}
stages:
  - {id: ownership, verify: {that: 'owner.active', otherwise: owner-not-valid}}
  - id: security
    when: 'subject.environment == "production"'
    approval:
      require: [{from: group:security, count: 2}]
      separation: [requester, onBehalfOf, owner]
      proof: session
      timeout: {after: P1D, result: deny}
  - {id: issue, effect: issue}
`;
const rotation = `
apiVersion: tenure/v1
kind: Flow
metadata: {name: rotation, owner: tests, description: no approval}
on: rotation
subject: {}
limits: {grace: PT1H}
stages:
  - {id: rotate, effect: rotate}
`;
const revocation = `
apiVersion: tenure/v1
kind: Flow
metadata: {name: revocation, owner: tests, description: no approval}
on: revocation
subject: {}
stages:
  - {id: revoke, effect: revoke}
`;

let installation: TestInstallation;
let stopWorker: () => Promise<void>;

beforeAll(async () => {
  installation = await testInstallation({ flows: [onboarding, rotation, revocation], leaseMs: 4_000 });
  stopWorker = await installation.startWorker();
});
afterAll(async () => {
  await stopWorker?.();
  await installation?.close();
});

const stateOf = async (requestId: string) =>
  (await installation.ledger.prisma.request.findUniqueOrThrow({ where: { id: requestId } })).state;

test('an identity is onboarded, rotated and revoked, and its logins follow', async () => {
  const order = onboardingOrder();
  const first = await opened(installation, order);
  await eventually(async () => expect(await stateOf(first.requestId)).toBe('completed'));
  const { identityId } = order;
  const live = await installation.store.read({ identityId });
  expect(live).toMatchObject({ kind: 'value', version: 1, epoch: 1 });
  if (live?.kind !== 'value') throw new Error('nothing is served');
  expect(await installation.issuer.prove({ handle: `${identityId}-v1`, secret: live.value })).toBe('accepted');

  const second = await opened(installation, openOrder('rotation', { identityId }));
  await eventually(async () => expect(await stateOf(second.requestId)).toBe('awaiting-consumers'));
  expect(await installation.store.read({ identityId })).toMatchObject({ kind: 'value', version: 2, epoch: 2 });

  const third = await opened(installation, openOrder('revocation', { identityId }));
  await eventually(async () => expect(await stateOf(third.requestId)).toBe('completed'), 20_000);
  expect(await installation.store.read({ identityId })).toMatchObject({ kind: 'tombstone', epoch: 3 });
  expect(await installation.issuer.list({ identityId })).toEqual([]);
  expect(await stateOf(second.requestId)).toBe('cancelled');
  const credentials = await installation.ledger.prisma.credential.findMany({
    where: { identityId },
    orderBy: { version: 'asc' },
  });
  expect(credentials.map(({ state }) => state)).toEqual(['destroyed', 'destroyed']);
  expect(credentials.map(({ receipt }) => (receipt as { method: string }).method)).toEqual(['tried', 'tried']);
});

test('two approvers who are neither requester nor owner let a production identity issue', async () => {
  const { requestId } = await opened(installation, onboardingOrder({ environment: 'production' }));
  expect(await stateOf(requestId)).toBe('awaiting-approval');
  expect(await decide(installation, { requestId, by: 'security-1@tenure.example' })).toMatchObject({
    verdict: { accepted: true },
  });
  expect(await decide(installation, { requestId, by: 'security-1@tenure.example' })).toMatchObject({
    verdict: { accepted: false, slug: 'already-decided' },
  });
  await decide(installation, { requestId, by: 'security-2@tenure.example' });
  await eventually(async () => expect(await stateOf(requestId)).toBe('completed'));
});
