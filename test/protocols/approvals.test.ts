import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Plan } from '../../contracts/plan.ts';
import { signDecision } from '../../domain/decisionSignature.ts';
import { type ByHand, byHand } from '../setup/byHand.ts';
import { eventually } from '../setup/eventually.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { untilLedgerClockPasses } from '../setup/ledgerClock.ts';
import { onboardingOrder, signedDecision } from '../setup/orders.ts';
import { approvedFlow } from './flows.ts';

const flows = [
  approvedFlow('onboarding'),
  approvedFlow('onboarding', {
    environment: 'two-groups',
    approval: `require: [{from: group:security, count: 1}, {from: group:security-lead, count: 1}]
      separation: [requester, onBehalfOf, owner]
      timeout: {after: P1D, result: deny}`,
  }),
  approvedFlow('onboarding', {
    environment: 'hasty',
    approval: `require: [{from: group:security, count: 1}]
      separation: [requester]
      timeout: {after: PT0.3S, result: deny}`,
  }),
  approvedFlow('onboarding', {
    environment: 'hasty-expiring',
    approval: `require: [{from: group:security, count: 1}]
      separation: [requester]
      timeout: {after: PT0.3S, result: expire}`,
  }),
  approvedFlow('onboarding', {
    environment: 'escalating',
    approval: `require: [{from: group:owner, count: 1}]
      separation: [requester]
      escalate: {after: PT0.3S, to: group:security-lead}
      timeout: {after: P1D, result: deny}`,
  }),
  approvedFlow('onboarding', {
    environment: 'escalating-later',
    approval: `require: [{from: group:owner, count: 1}]
      separation: [requester]
      escalate: {after: PT4H, to: group:security-lead}
      timeout: {after: P1D, result: deny}`,
  }),
];

let installation: TestInstallation;
let hand: ByHand;

beforeAll(async () => {
  installation = await testInstallation({ flows, leaseMs: 60_000 });
  hand = byHand(installation);
});
afterAll(() => installation.close());

const at = (name: string) => `${name}@tenure.example`;
const accepted = { accepted: true };

/** An onboarding that waits for approval. */
async function waiting(subject: Parameters<typeof onboardingOrder>[0] = {}, order = {}): Promise<string> {
  const { requestId } = await hand.open(onboardingOrder({ environment: 'production', ...subject }, order));
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'awaiting-approval' });
  return requestId;
}

async function verdictOf(requestId: string, by: string, rest = {}) {
  return (await hand.decide({ requestId, by: at(by), ...rest })).verdict;
}

/** Lets a timer's event in, early as often as it takes: only once it is due by the ledger's clock is it applied. */
async function fire({ requestId, plan }: { requestId: string; plan: Plan }): Promise<void> {
  const id = plan.timer?.id ?? '';
  await eventually(async () => {
    await hand.tell(requestId, { kind: 'timer', id });
    expect(await installation.ledger.prisma.requestEvent.count({ where: { requestId, id } })).toBe(1);
  });
}

test('nobody approves what they asked for, own, or stand behind as the person a pipeline acts for', async () => {
  const own = await waiting({}, { principal: at('security-1') });
  expect(await verdictOf(own, 'security-1')).toMatchObject({ slug: 'self-approval' });
  const owned = await waiting({ ownerId: at('security-1') });
  expect(await verdictOf(owned, 'security-1')).toMatchObject({ slug: 'self-approval' });
  const piped = await waiting(
    {},
    { principal: 'pipeline:deploy', principalKind: 'pipeline', trigger: 'pipeline', onBehalfOf: at('security-1') },
  );
  expect(await verdictOf(piped, 'security-1')).toMatchObject({ slug: 'self-approval' });
  expect(await verdictOf(piped, 'owner')).toMatchObject({ slug: 'self-approval' });
  expect(await verdictOf(piped, 'auditor')).toMatchObject({ slug: 'not-eligible' });
  expect(await installation.ledger.prisma.decision.count({ where: { requestId: { in: [own, owned, piped] } } })).toBe(
    0,
  );
});

test('a stage closes with as many distinct approvers as it requires, and one of them counts once', async () => {
  const requestId = await waiting();
  expect(await verdictOf(requestId, 'security-1')).toEqual(accepted);
  expect(await verdictOf(requestId, 'security-1')).toMatchObject({ slug: 'already-decided' });
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'awaiting-approval' });
  expect(await verdictOf(requestId, 'security-2')).toEqual(accepted);
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'executing' });
  expect(await verdictOf(requestId, 'security-lead', { change: { stage: 'approval' } })).toMatchObject({
    slug: 'not-awaiting-approval',
  });
});

test('every group of a requirement must be met, and one person in two groups fills one place only', async () => {
  const requestId = await waiting({ environment: 'two-groups' });
  await verdictOf(requestId, 'security-lead');
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'awaiting-approval' });
  await verdictOf(requestId, 'security-1');
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'executing' });

  const withoutLead = await waiting({ environment: 'two-groups' });
  await verdictOf(withoutLead, 'security-1');
  await verdictOf(withoutLead, 'security-2');
  expect(await hand.stateOf(withoutLead)).toMatchObject({ state: 'awaiting-approval' });
});

test('two last approvals at the same instant close the stage once, and one approver sending ten counts once', async () => {
  const requestId = await waiting();
  const verdicts = await Promise.all(Array.from({ length: 10 }, () => verdictOf(requestId, 'security-1')));
  expect(verdicts.filter(({ accepted }) => accepted)).toHaveLength(1);
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'awaiting-approval' });
  await Promise.all([verdictOf(requestId, 'security-2'), verdictOf(requestId, 'security-lead')]);
  const { id: identityId } = await hand.identityOf(requestId);
  expect(await hand.credentialsOf(identityId)).toBe('v1 minting');
});

test('an approver who left between the approval and the quorum is not counted', async () => {
  await installation.ledger.prisma.person.create({
    data: { id: at('leaver'), name: 'leaver', groups: ['security'], active: true, source: 'test' },
  });
  const requestId = await waiting();
  expect(await verdictOf(requestId, 'leaver')).toEqual(accepted);
  await installation.ledger.prisma.person.update({ where: { id: at('leaver') }, data: { active: false } });
  expect(await verdictOf(requestId, 'security-1')).toEqual(accepted);
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'awaiting-approval' });
  expect(await verdictOf(requestId, 'leaver')).toMatchObject({ slug: 'not-eligible' });
  expect(await verdictOf(requestId, 'security-2')).toEqual(accepted);
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'executing' });
});

test('an amendment voids every decision given before it, and decisions on the old revision are refused', async () => {
  const requestId = await waiting();
  await verdictOf(requestId, 'security-1');
  const late = await signedDecision(installation, { requestId, by: at('security-2') });
  const amended = await hand.command(requestId, {
    do: 'amend',
    by: at('requester'),
    reason: 'smaller',
    subject: { purpose: 'something else' },
  });
  expect(amended.verdict).toEqual(accepted);
  const replayed = await hand.tell(requestId, { kind: 'decision', id: `decision:${late.id}`, decision: late });
  expect(replayed.verdict).toMatchObject({ slug: 'revision-changed' });
  await verdictOf(requestId, 'security-2');
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'awaiting-approval' });
  await verdictOf(requestId, 'security-1');
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'executing' });
});

test('a decision counts only with a signature of this installation over exactly this request, stage, revision and content', async () => {
  const requestId = await waiting();
  const other = await waiting();
  const sent = async (decision: Awaited<ReturnType<typeof signedDecision>>) =>
    (await hand.tell(requestId, { kind: 'decision', id: `decision:${decision.id}`, decision })).verdict;
  const asked = { requestId, by: at('security-1') };
  const signed = (change = {}) => signedDecision(installation, { ...asked, change });
  const genuine = await signed();
  const fresh = () => ({ ...genuine, id: randomUUID() });
  const { privateKey } = generateKeyPairSync('ed25519');
  const stranger = { privateKey, personKey: installation.ledger.evidence.personKey };

  // Changed after it was signed.
  expect(await sent(fresh())).toMatchObject({ slug: 'bad-signature' });
  expect(await sent({ ...(await signed()), approverId: at('security-2') })).toMatchObject({ slug: 'bad-signature' });
  expect(await sent({ ...(await signed({ verdict: 'deny' })), verdict: 'approve' })).toMatchObject({
    slug: 'bad-signature',
  });
  expect(await sent({ ...(await signed()), signature: '' })).toMatchObject({ slug: 'bad-signature' });
  // Signed by somebody else's key, under our key's name and under its own.
  expect(await sent(signDecision(fresh(), stranger))).toMatchObject({ slug: 'bad-signature' });
  for (const keyId of ['unknown', 'constructor', '__proto__', ''])
    expect(await sent(signDecision({ ...fresh(), keyId }, stranger))).toMatchObject({
      slug: 'bad-signature',
    });
  // Rightly signed, for something else.
  expect(await sent(await signedDecision(installation, { ...asked, requestId: other }))).toMatchObject({
    slug: 'bad-signature',
  });
  expect(await sent(await signed({ revision: 2 }))).toMatchObject({ slug: 'revision-changed' });
  expect(await sent(await signed({ digest: 'a'.repeat(64) }))).toMatchObject({ slug: 'digest-mismatch' });
  expect(await sent(await signed({ stage: 'effect' }))).toMatchObject({ slug: 'not-awaiting-approval' });

  expect(await installation.ledger.prisma.decision.count({ where: { requestId } })).toBe(0);
  expect(await sent(genuine)).toMatchObject({ accepted: true });
});

test('an approval can be withdrawn before the quorum, then no longer counts, and its approver may decide anew', async () => {
  const requestId = await waiting();
  expect(await verdictOf(requestId, 'security-1', { verdict: 'withdraw' })).toMatchObject({
    slug: 'nothing-to-withdraw',
  });
  await verdictOf(requestId, 'security-1');
  expect(await verdictOf(requestId, 'security-1', { verdict: 'withdraw' })).toEqual(accepted);
  await verdictOf(requestId, 'security-2');
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'awaiting-approval' });
  await verdictOf(requestId, 'security-1');
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'executing' });
  expect(
    await verdictOf(requestId, 'security-1', { verdict: 'withdraw', change: { stage: 'approval' } }),
  ).toMatchObject({
    slug: 'not-awaiting-approval',
  });
});

test('one denial ends the request, and nothing is decided on it any more', async () => {
  const requestId = await waiting();
  await verdictOf(requestId, 'security-1');
  expect(await verdictOf(requestId, 'security-2', { verdict: 'deny' })).toEqual(accepted);
  expect(await hand.stateOf(requestId)).toEqual({ state: 'denied', reason: 'denied-by-approver' });
  expect(await verdictOf(requestId, 'security-lead')).toMatchObject({ slug: 'request-closed' });
  const identity = await hand.identityOf(requestId);
  expect(identity.state).toBe('rejected');
});

test('a time-out ends the request as its flow says, and an approval that comes after it opens nothing', async () => {
  for (const [environment, state] of [
    ['hasty', 'denied'],
    ['hasty-expiring', 'expired'],
  ] as const) {
    const opened = await hand.open(onboardingOrder({ environment }));
    const late = await hand.open(onboardingOrder({ environment }));
    const tooLate = late.requestId;
    const decision = await signedDecision(installation, { requestId: tooLate, by: at('security-1') });
    await fire(opened);
    expect(await hand.stateOf(opened.requestId)).toEqual({ state, reason: 'approval-timeout' });
    await untilLedgerClockPasses(installation, new Date(late.plan.timer?.dueAt ?? ''));
    const told = await hand.tell(tooLate, { kind: 'decision', id: `decision:${decision.id}`, decision });
    expect(told.verdict).toMatchObject({ accepted: false, slug: 'request-closed' });
    expect(await hand.stateOf(tooLate)).toEqual({ state, reason: 'approval-timeout' });
    expect(
      await installation.ledger.prisma.credential.count({ where: { requestId: { in: [opened.requestId, tooLate] } } }),
    ).toBe(0);
  }
});

test('the escalation group may decide once the escalation is due, and not before', async () => {
  const early = await waiting({ environment: 'escalating-later' });
  expect(await verdictOf(early, 'security-lead')).toMatchObject({ slug: 'not-eligible' });
  const opened = await hand.open(onboardingOrder({ environment: 'escalating' }));
  await fire(opened);
  const { requestId } = opened;
  expect(await verdictOf(requestId, 'security-1')).toMatchObject({ slug: 'not-eligible' });
  expect(await verdictOf(requestId, 'security-lead')).toEqual(accepted);
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'executing' });
});

test('what was verified and approved is asked again at begin: an owner who left during a pause stops the issue, with the reason', async () => {
  await installation.ledger.prisma.person.create({
    data: { id: at('owner-2'), name: 'owner-2', groups: [], active: true, source: 'test' },
  });
  const requestId = await waiting({ ownerId: at('owner-2') });
  await hand.command(requestId, { do: 'pause', by: at('responder'), reason: 'look first' });
  await verdictOf(requestId, 'security-1');
  await verdictOf(requestId, 'security-2');
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'held' });
  await installation.ledger.prisma.person.update({ where: { id: at('owner-2') }, data: { active: false } });
  await hand.command(requestId, { do: 'resume', by: at('responder'), reason: 'looked', all: false });
  expect(await hand.stateOf(requestId)).toEqual({ state: 'denied', reason: 'owner-not-valid' });
  expect(await installation.ledger.prisma.credential.count({ where: { requestId } })).toBe(0);
});

test('an approval whose quorum was lost before begin or commit is asked for again, and what was made meanwhile is destroyed', async () => {
  await installation.ledger.prisma.person.create({
    data: { id: at('mover'), name: 'mover', groups: ['security'], active: true, source: 'test' },
  });
  const requestId = await waiting();
  await verdictOf(requestId, 'mover');
  await verdictOf(requestId, 'security-1');
  const create = await hand.orderOf(requestId, 'create');
  await installation.ledger.prisma.person.update({ where: { id: at('mover') }, data: { groups: [] } });
  await hand.report(requestId, create, await hand.perform(create));
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'awaiting-approval' });
  await hand.carryOutAll(requestId);
  const { id: identityId } = await hand.identityOf(requestId);
  expect(await hand.credentialsOf(identityId)).toBe('v1 destroying');
  expect(await installation.issuer.list({ identityId })).toEqual([]);
  await verdictOf(requestId, 'security-2');
  await hand.carryOutAll(requestId);
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'completed' });
  expect(await hand.credentialsOf(identityId)).toBe('v1 destroying, v2 current');
});
