import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseFlow } from '../../domain/flow/parse.ts';
import { parseRecords, type RecordedRequest } from '../../domain/flow/recordedRequest.ts';
import { simulate } from '../../domain/flow/simulate.ts';
import { freezeSelector } from '../../domain/freezeSelector.ts';
import { openFreeze } from '../../ledger/freezes.ts';
import { recordedRequests } from '../../ledger/queries/recordedRequests.ts';
import { type ByHand, byHand } from '../setup/byHand.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { onboardingOrder } from '../setup/orders.ts';
import { approvedFlow } from './flows.ts';

const source = approvedFlow('onboarding');
let installation: TestInstallation;
let hand: ByHand;

beforeAll(async () => {
  installation = await testInstallation({ flows: [source], leaseMs: 60_000 });
  hand = byHand(installation);
});
afterAll(() => installation.close());

const at = (name: string) => `${name}@tenure.example`;

async function recorded(): Promise<readonly RecordedRequest[]> {
  const records = [];
  for await (const record of recordedRequests(installation.ledger.prisma, { flowName: 'onboarding-production' }))
    records.push(record);
  return records;
}

function flowIn(text: string) {
  const parsed = parseFlow(text, 'f.flow.yaml');
  if (!parsed.ok) throw new Error('the flow does not parse');
  return parsed.flow;
}

test('what is recorded from the ledger is of the published format, ends as it really did, and shows what a new flow changes', async () => {
  const open = async (change: object = {}) =>
    (await hand.open(onboardingOrder({ environment: 'production', ...change }))).requestId;

  const denied = await open();
  await hand.decide({ requestId: denied, by: at('security-1') });
  await hand.decide({ requestId: denied, by: at('security-2'), verdict: 'deny' });

  const paused = await open();
  await hand.command(paused, { do: 'pause', by: at('responder'), reason: 'a test' });
  await hand.decide({ requestId: paused, by: at('security-1') });
  await hand.decide({ requestId: paused, by: at('security-1'), verdict: 'withdraw' });
  await hand.command(paused, { do: 'cancel', by: at('requester'), reason: 'not needed' });

  const frozen = await open({ integration: 'frozen-one' });
  const id = randomUUID();
  await openFreeze(installation.ledger, {
    id,
    ...freezeSelector({ integrations: ['frozen-one'] }),
    mode: 'cancel',
    reason: 'a test',
    by: at('responder'),
  });
  await hand.planOf(frozen);

  const records = await recorded();
  expect(parseRecords(records.map((record) => JSON.stringify(record)).join('\n'))).toEqual({
    ok: true,
    requests: records,
  });
  const eventsOf = (requestId: string) =>
    records.find((record) => record.id === requestId)?.events.map(({ at: _, ...event }) => Object.keys(event)[0]);
  expect(eventsOf(denied)).toEqual(['decision', 'decision']);
  expect(eventsOf(paused)).toEqual(['pause', 'decision', 'decision', 'cancel']);
  expect(eventsOf(frozen)).toEqual(['freeze']);

  const flow = flowIn(source);
  expect(simulate(flow, flow, records)).toMatchObject({ played: 3, others: 0, changed: [], unlike: [] });
  const weaker = flowIn(source.replace('count: 2', 'count: 1'));
  expect(simulate(flow, weaker, records).changed).toMatchObject([
    { id: denied, before: { outcome: 'denied', reason: 'denied-by-approver' }, after: { outcome: 'completed' } },
  ]);
});

test('a request of another flow is not recorded when one is named', async () => {
  const all = [];
  for await (const record of recordedRequests(installation.ledger.prisma, { flowName: 'no-such-flow' }))
    all.push(record);
  expect(all).toEqual([]);
});
