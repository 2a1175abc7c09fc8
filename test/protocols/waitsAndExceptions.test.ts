import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RequestBody } from '../../api/representations/request.ts';
import { seedFlows } from '../../ledger/flows.ts';
import { type ByHand, byHand } from '../setup/byHand.ts';
import { eventually } from '../setup/eventually.ts';
import { flowSource, type TestInstallation, testInstallation } from '../setup/installation.ts';
import { type InstallationApi, installationApi } from '../setup/installationApi.ts';
import { untilLedgerClockPasses } from '../setup/ledgerClock.ts';
import { onboardingOrder } from '../setup/orders.ts';

/** What a flow's exceptions and waits do in the ledger: its clock, its rows, its evidence, and what the API says of them. */

const approval = `approval:
      require: [{from: group:security, count: 2}]
      separation: [requester, owner]
      timeout: {after: P1D, result: deny}`;

function flow(environment: string, stages: string, exceptions = ''): string {
  return `apiVersion: tenure/v1
kind: Flow
metadata: {name: onboarding-${environment}, owner: tests, description: "for a test"}
on: onboarding
subject: {where: 'subject.environment == "${environment}"'}
stages:
${stages}
  - {id: issue, effect: issue}
${exceptions}`;
}

const excepting = (name: string, environment: string, until: Date): string => `exceptions:
  - id: migration
    subject: {name: ${name}, environment: ${environment}}
    stages: [security]
    until: ${until.toISOString()}
    because: the old reader is replaced
`;

const asked = `  - id: security\n    ${approval}`;
const farOff = new Date(Date.now() + 86_400_000);
let brief: Date;
let installation: TestInstallation;
let hand: ByHand;
let api: InstallationApi;

beforeAll(async () => {
  installation = await testInstallation({ flows: [], leaseMs: 60_000 });
  hand = byHand(installation);
  api = await installationApi(installation);
  brief = new Date(Date.now() + 3_000);
  await seedFlows(
    installation.ledger,
    [
      flow('brief', asked, excepting('brief reader', 'brief', brief)),
      flow('spared', asked, excepting('ledger reader', 'spared', farOff)),
      flow('cooled', '  - {id: cool-off, wait: {for: PT1S}}'),
      flow('contested', asked.replace('timeout:', 'denials: 2\n      timeout:')),
    ].map(flowSource),
  );
});
afterAll(async () => {
  await api?.close();
  await installation?.close();
});

const at = (name: string) => `${name}@tenure.example`;
const shown = (requestId: string) => api.as<RequestBody>('requester', `/v1/requests/${requestId}`);

async function evidenceOf(requestId: string, kind: string): Promise<readonly unknown[]> {
  const entries = await installation.ledger.prisma.evidenceEntry.findMany({
    where: { chain: `request/${requestId}` },
    orderBy: { position: 'asc' },
  });
  return entries.map(({ body }) => JSON.parse(body)).flatMap((entry) => (entry.kind === kind ? [entry.data] : []));
}

// First: its exception ends soon after the flows were seeded.
test('what was made under an exception that has ended since is destroyed, and the approval asked for', async () => {
  const { requestId, identityId } = await hand.open(onboardingOrder({ name: 'brief reader', environment: 'brief' }));
  const order = await hand.orderOf(requestId, 'create');
  const made = await hand.perform(order);
  await untilLedgerClockPasses(installation, brief);
  await hand.report(requestId, order, made);
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'awaiting-approval' });
  expect(await hand.credentialsOf(identityId)).toBe('v1 destroying');
  const waiver = { stage: 'security', exception: 'migration', until: brief.toISOString() };
  expect(await evidenceOf(requestId, 'request.waiver-ended')).toEqual([waiver]);
  expect((await shown(requestId)).waived).toEqual([]);

  for (const by of ['security-1', 'security-2']) await hand.decide({ requestId, by: at(by) });
  await hand.carryOutAll(requestId);
  expect(await hand.credentialsOf(identityId)).toBe('v1 destroying, v2 current');
});

// Before the one that is meant is there: from then on the ledger refuses names that look like it.
test.each(['ledger reader 2', 'Ledger reader', '1edger reader', 'ledger-reader'])(
  'an identity called %s, while its name is free, is not spared what another is spared',
  async (name) => {
    const { requestId } = await hand.open(onboardingOrder({ name, environment: 'spared' }));
    expect(await hand.stateOf(requestId)).toMatchObject({ state: 'awaiting-approval' });
    await hand.command(requestId, { do: 'cancel', by: at('requester'), reason: 'only a test' });
  },
);

test('a waived approval issues at once, and evidence, timeline and request name the exception and its end', async () => {
  const { requestId, identityId } = await hand.open(onboardingOrder({ name: 'ledger reader', environment: 'spared' }));
  await hand.carryOutAll(requestId);
  expect(await hand.stateOf(requestId)).toEqual({ state: 'completed', reason: null });
  const waiver = { stage: 'security', exception: 'migration', until: farOff.toISOString() };
  expect(await evidenceOf(requestId, 'request.stage-waived')).toEqual([waiver]);
  expect((await shown(requestId)).waived).toEqual([waiver]);
  const { items } = await api.as<{ items: readonly { kind: string; data: object }[] }>(
    'auditor',
    `/v1/identities/${identityId}/timeline`,
  );
  expect(items).toContainEqual(expect.objectContaining({ kind: 'request.stage-waived', data: waiver }));
});

test('a request at a wait says until when, and goes on when the ledger’s clock is there', async () => {
  const { requestId, plan } = await hand.open(onboardingOrder({ environment: 'cooled' }));
  const { state, stage, waitsUntil } = await shown(requestId);
  expect({ state, stage, waitsUntil }).toEqual({
    state: 'evaluating',
    stage: 'cool-off',
    waitsUntil: plan.timer?.dueAt,
  });
  const id = plan.timer?.id ?? '';
  await eventually(async () => {
    const fired = await hand.tell(requestId, { kind: 'timer', id });
    expect(fired.plan.effects.map(({ activity }) => activity)).toEqual(['create']);
  });
  expect((await shown(requestId)).waitsUntil).toBeNull();
});

test('where two must deny, one denial leaves the request open and two end it', async () => {
  const { requestId } = await hand.open(onboardingOrder({ environment: 'contested' }));
  const deny = (by: string) => hand.decide({ requestId, by: at(by), verdict: 'deny' });
  expect((await deny('security-1')).plan.state).toBe('awaiting-approval');
  expect((await hand.decide({ requestId, by: at('security-1') })).verdict).toMatchObject({ slug: 'already-decided' });
  expect((await deny('security-2')).plan.state).toBe('denied');
  expect(await hand.stateOf(requestId)).toEqual({ state: 'denied', reason: 'denied-by-approver' });
});
