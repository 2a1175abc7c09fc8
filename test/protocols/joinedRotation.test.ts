import { afterAll, beforeAll, expect, test } from 'vitest';
import type { OpenOrder } from '../../contracts/open.ts';
import { canonicalJson } from '../../domain/evidence/canonicalJson.ts';
import { parseFlow } from '../../domain/flow/parse.ts';
import { type ByHand, byHand } from '../setup/byHand.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { onboardingOrder, openOrder } from '../setup/orders.ts';
import { approvedFlow, approvedFlows, plainFlows } from './flows.ts';

let installation: TestInstallation;
let hand: ByHand;

beforeAll(async () => {
  installation = await testInstallation({
    flows: [...plainFlows, ...approvedFlows, approvedFlow('rotation', { environment: 'changing' })],
  });
  hand = byHand(installation);
});
afterAll(() => installation.close());

const at = (name: string) => `${name}@tenure.example`;

async function onboarded(environment: string): Promise<string> {
  const { requestId, identityId } = await hand.open(onboardingOrder({ environment }));
  if (environment === 'production')
    for (const name of ['security-1', 'security-2']) await hand.decide({ requestId, by: at(name) });
  await hand.carryOutAll(requestId);
  return identityId;
}

const rotation = (identityId: string, change: Partial<OpenOrder> = {}) =>
  openOrder('rotation', { identityId, ...change });

test('a second trigger joins a rotation that has not begun, and whoever joined can neither approve nor have approved', async () => {
  const identityId = await onboarded('production');
  const { requestId } = await hand.open(rotation(identityId));
  expect((await hand.decide({ requestId, by: at('security-1') })).verdict).toEqual({ accepted: true });

  const joining = rotation(identityId, { principal: at('security-1') });
  const joined = await hand.open(joining);
  expect(joined).toMatchObject({ requestId, created: false });
  const behind = rotation(identityId, {
    principal: 'pipeline:deploy',
    principalKind: 'pipeline',
    trigger: 'pipeline',
    onBehalfOf: at('security-2'),
  });
  expect(await hand.open(behind)).toMatchObject({ requestId, created: false });

  expect((await hand.decide({ requestId, by: at('security-2') })).verdict).toMatchObject({ slug: 'self-approval' });
  expect((await hand.decide({ requestId, by: at('security-lead') })).verdict).toEqual({ accepted: true });
  expect(await hand.stateOf(requestId)).toMatchObject({ state: 'awaiting-approval' });
  expect(await hand.tryToOpen(joining)).toMatchObject({ opened: true, requestId });
  const requesters = await installation.ledger.prisma.requester.findMany({ where: { requestId } });
  expect(requesters.map(({ principal }) => principal).sort()).toEqual(
    ['pipeline:deploy', at('requester'), at('security-1')].sort(),
  );
});

test('triggers at the same moment find one rotation, and each of them becomes a requester', async () => {
  const identityId = await onboarded('production');
  const names = ['requester', 'owner', 'responder', 'auditor', 'security-1'];
  const results = await Promise.all(names.map((name) => hand.open(rotation(identityId, { principal: at(name) }))));
  expect(new Set(results.map(({ requestId }) => requestId)).size).toBe(1);
  expect(results.filter(({ created }) => created)).toHaveLength(1);
  const [first] = results;
  expect(await installation.ledger.prisma.requester.count({ where: { requestId: first?.requestId ?? '' } })).toBe(5);
});

test('once a rotation has begun another trigger is refused, naming the running one, and writes nothing', async () => {
  const identityId = await onboarded('staging');
  const running = await hand.open(rotation(identityId));
  const late = rotation(identityId, { principal: at('owner') });
  const refusal = { opened: false, slug: 'request-running', runningRequestId: running.requestId };
  expect(await hand.tryToOpen(late)).toMatchObject(refusal);
  await hand.carryOutAll(running.requestId);
  expect(await hand.tryToOpen(late)).toMatchObject(refusal);
  expect(
    await installation.ledger.prisma.requester.count({ where: { principal: at('owner'), request: { identityId } } }),
  ).toBe(0);
  expect(
    await installation.ledger.prisma.idempotentCall.count({
      where: { principal: at('owner'), key: late.idempotencyKey },
    }),
  ).toBe(0);
});

test('a running rotation keeps its flow version, and is not joined by a trigger that falls under a newer one', async () => {
  const identityId = await onboarded('changing');
  const running = await hand.open(rotation(identityId));
  const before = await installation.ledger.prisma.request.findUniqueOrThrow({ where: { id: running.requestId } });
  await publish(
    approvedFlow('rotation', {
      environment: 'changing',
      approval: `require: [{from: group:auditor, count: 1}]
      separation: [requester]
      timeout: {after: P1D, result: deny}`,
    }),
  );
  expect(await hand.tryToOpen(rotation(identityId, { principal: at('owner') }))).toMatchObject({
    slug: 'request-running',
    runningRequestId: running.requestId,
  });
  expect((await hand.decide({ requestId: running.requestId, by: at('auditor') })).verdict).toMatchObject({
    slug: 'not-eligible',
  });
  for (const name of ['security-1', 'security-2']) await hand.decide({ requestId: running.requestId, by: at(name) });
  expect(
    await installation.ledger.prisma.request.findUniqueOrThrow({ where: { id: running.requestId } }),
  ).toMatchObject({
    state: 'executing',
    flowDigest: before.flowDigest,
  });
});

/** As a publication would: the newer version rules from now on, the older one stays for what runs under it. */
async function publish(source: string): Promise<void> {
  const parsed = parseFlow(source, 'test.flow.yaml');
  if (!parsed.ok) throw new Error(parsed.errors.map(({ reason }) => reason).join('\n'));
  const { flow, digest } = parsed;
  const { name } = flow.metadata;
  const { flowVersion, publishedFlow } = installation.ledger.prisma;
  await flowVersion.create({
    data: { digest, name, operation: flow.on, canonical: canonicalJson(flow), source, author: at('owner') },
  });
  await publishedFlow.update({ where: { name }, data: { digest } });
}
