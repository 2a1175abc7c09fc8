import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Ledger } from '../../ledger/client.ts';
import { giveCommand } from '../../ledger/commands.ts';
import { type ByHand, byHand } from '../setup/byHand.ts';
import { eventually } from '../setup/eventually.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { decide, onboardingOrder, opened, openOrder, signedDecision } from '../setup/orders.ts';
import { repeated } from '../setup/repeated.ts';
import { approvedFlows, plainFlows } from './flows.ts';

/**
 * A worker that dies between the commit of a local activity and its marker leaves a history without it; the activity then
 * runs again. Here every second transaction of the worker commits and loses its answer.
 */
let installation: TestInstallation;
let hand: ByHand;
let answersLost = 0;

beforeAll(async () => {
  installation = await testInstallation({
    flows: [...plainFlows, ...approvedFlows],
    leaseMs: 3_000,
    wrapLedger: (ledger) => ({ ...ledger, direct: losingAnswers(ledger.direct) }),
  });
  hand = byHand(installation);
});
afterAll(() => installation.close());

function losingAnswers(direct: Ledger['direct']): Ledger['direct'] {
  let isLostNext = false;
  return {
    ...direct,
    async transaction(opening, work) {
      const answer = await direct.transaction(opening, work);
      isLostNext = !isLostNext;
      if (!isLostNext) return answer;
      answersLost += 1;
      throw new Error('the worker died after the commit');
    },
  };
}

const at = (name: string) => `${name}@tenure.example`;
const accepted = { accepted: true };

test('a whole life in which every step loses its answer once happens once: one credential per issue, one decision per approver, one epoch per commit', async () => {
  const stopWorker = await installation.startWorker();
  try {
    const order = onboardingOrder({ environment: 'production' });
    const { identityId } = order;
    const { requestId } = await opened(installation, order);
    for (const name of ['security-1', 'security-2'])
      expect((await decide(installation, { requestId, by: at(name) })).verdict).toEqual(accepted);
    await eventually(async () => expect(await hand.stateOf(requestId)).toMatchObject({ state: 'completed' }));
    const rotation = await opened(installation, openOrder('rotation', { identityId }));
    for (const name of ['security-1', 'security-2'])
      await decide(installation, { requestId: rotation.requestId, by: at(name) });
    await eventually(async () =>
      expect(await installation.store.read({ identityId })).toMatchObject({ version: 2, epoch: 2 }),
    );
    const revocation = await opened(installation, openOrder('revocation', { identityId }));
    await eventually(
      async () => expect(await hand.stateOf(revocation.requestId)).toMatchObject({ state: 'completed' }),
      25_000,
    );

    const { prisma } = installation.ledger;
    expect(answersLost).toBeGreaterThan(10);
    expect(await hand.credentialsOf(identityId)).toBe('v1 destroyed, v2 destroyed');
    expect(await installation.issuer.list({ identityId })).toEqual([]);
    expect(await prisma.identity.findUniqueOrThrow({ where: { id: identityId } })).toMatchObject({
      state: 'revoked',
      epoch: 3,
    });
    expect(await prisma.decision.count({ where: { request: { identityId } } })).toBe(4);
    const told = await prisma.evidenceEntry.findMany({ where: { identityId }, select: { body: true } });
    const kinds = told.map(({ body }) => (JSON.parse(body) as { kind: string }).kind);
    const countOf = (kind: string) => kinds.filter((candidate) => candidate === kind).length;
    expect(countOf('request.opened')).toBe(3);
    expect(countOf('credential.minting')).toBe(2);
    expect(countOf('credential.current')).toBe(2);
    expect(countOf('decision.recorded')).toBe(4);
    expect(countOf('identity.revoking')).toBe(1);
    expect(countOf('credential.destroyed')).toBe(2);
  } finally {
    await stopWorker();
  }
});

test('when a decision was committed, then a pause came, and the decision is replayed, each gets its own verdict', async () => {
  const { ledger } = installation;
  const { requestId } = await hand.open(onboardingOrder({ environment: 'production' }));
  await hand.decide({ requestId, by: at('security-1') });
  const decision = await signedDecision(installation, { requestId, by: at('security-2') });
  const event = { kind: 'decision', id: `decision:${decision.id}`, decision } as const;
  const first = await hand.tell(requestId, event);
  expect(first.verdict).toEqual(accepted);

  const commandId = randomUUID();
  const pause = { requestId, commandId, command: { do: 'pause', by: at('responder'), reason: 'wait' } } as const;
  const paused = await repeated(() => giveCommand(ledger, pause));
  expect(paused.verdict).toEqual(accepted);
  expect(paused.plan.sequence).toBeGreaterThan(first.plan.sequence);

  const replayed = await hand.tell(requestId, event);
  expect(replayed.verdict).toEqual(accepted);
  // The verdict is the decision's; the plan is what holds now, never an older one.
  expect(replayed.plan).toMatchObject({ state: 'held', sequence: paused.plan.sequence });
  expect((await repeated(() => giveCommand(ledger, pause))).verdict).toEqual(accepted);
  expect(await ledger.prisma.pause.count({ where: { requestId } })).toBe(1);
  expect(await ledger.prisma.decision.count({ where: { requestId } })).toBe(2);
});

test('a replayed event is answered as it was, also when it would be judged otherwise now', async () => {
  const { ledger } = installation;
  const { requestId } = await hand.open(onboardingOrder({ environment: 'production' }));
  const outsider = await signedDecision(installation, { requestId, by: at('auditor') });
  const event = { kind: 'decision', id: `decision:${outsider.id}`, decision: outsider } as const;
  expect((await hand.tell(requestId, event)).verdict).toMatchObject({ slug: 'not-eligible' });
  await ledger.prisma.person.update({ where: { id: at('auditor') }, data: { listedGroups: ['security'] } });
  expect((await hand.tell(requestId, event)).verdict).toMatchObject({ slug: 'not-eligible' });

  const cancel = { do: 'cancel', by: at('owner'), reason: 'not now' } as const;
  const commandId = randomUUID();
  expect((await repeated(() => giveCommand(ledger, { requestId, commandId, command: cancel }))).verdict).toEqual(
    accepted,
  );
  expect((await repeated(() => giveCommand(ledger, { requestId, commandId, command: cancel }))).verdict).toEqual(
    accepted,
  );
});

test('the outcome of an effect that is told twice, or after a later attempt began, moves nothing a second time', async () => {
  const { requestId, identityId } = await hand.open(onboardingOrder());
  const create = await hand.orderOf(requestId, 'create');
  await hand.report(requestId, create, { ok: false, reason: 'IssuerUnavailable', message: 'away' });
  const { flowState } = await installation.ledger.prisma.request.findUniqueOrThrow({ where: { id: requestId } });
  await hand.report(requestId, create, { ok: true, result: { fingerprint: 'f'.repeat(32) } });
  expect(await hand.credentialsOf(identityId)).toBe('v1 minting');
  expect(await installation.ledger.prisma.request.findUniqueOrThrow({ where: { id: requestId } })).toMatchObject({
    flowState,
  });
  await hand.command(requestId, { do: 'retry', by: at('owner'), reason: 'now' });
  const second = await hand.orderOf(requestId, 'create');
  expect(second.id).not.toBe(create.id);
  const outcome = await hand.perform(second);
  const committed = await hand.report(requestId, second, outcome);
  expect(await hand.report(requestId, second, outcome)).toEqual(committed);
  expect(await hand.credentialsOf(identityId)).toBe('v1 current');
});
