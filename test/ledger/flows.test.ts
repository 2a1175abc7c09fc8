import { expect, test } from 'vitest';
import { canonicalJson } from '../../domain/evidence/canonicalJson.ts';
import { flowDigest } from '../../domain/flow/digest.ts';
import type { Facts } from '../../domain/flow/facts.ts';
import type { Flow, RequestKind } from '../../domain/flow/language.ts';
import type { Ledger } from '../../ledger/client.ts';
import {
  type FlowSource,
  FlowVersionMissing,
  FlowVersionNotUnderstood,
  flowFor,
  flowVersion,
  seedFlows,
} from '../../ledger/flows.ts';
import { exampleFacts } from '../domain/flow/exampleFacts.ts';
import { flowOf, issue, ownership, rotate } from '../domain/flow/playedRequest.ts';
import { evidenceFixture } from './evidenceFixture.ts';

async function emptyLedger(): Promise<Ledger> {
  const { ledger: prisma, direct, keys } = await evidenceFixture();
  return { prisma, direct, evidence: keys, decisionKeys: new Map(), leaseMs: 10_000 };
}

function sourceOf(flow: Flow, name: string, subject: Flow['subject'] = {}): FlowSource {
  const named = { ...flow, metadata: { ...flow.metadata, name }, subject };
  return { flow: named, digest: flowDigest(named), canonical: canonicalJson(named), source: '# as written' };
}

const onboarding = sourceOf(flowOf('onboarding', [ownership, issue]), 'onboarding');
const rotation = sourceOf(flowOf('rotation', [rotate]), 'rotation');
const stricter = sourceOf(flowOf('onboarding', [issue]), 'onboarding');

async function ruling({ prisma }: Pick<Ledger, 'prisma'>, operation: RequestKind, facts: Facts) {
  const published = await prisma.publishedFlow.findMany({ where: { operation }, orderBy: { name: 'asc' } });
  return flowFor(
    prisma,
    published.map(({ digest }) => digest),
    operation,
    facts,
  );
}

test('an empty ledger is seeded once, with evidence of each flow; afterwards what is published rules', async () => {
  const ledger = await emptyLedger();
  expect(await seedFlows(ledger, [onboarding, rotation])).toEqual([]);
  expect(await seedFlows(ledger, [onboarding, rotation])).toEqual([]);
  expect(await ledger.prisma.publishedFlow.count()).toBe(2);
  const entries = await ledger.prisma.evidenceEntry.findMany({ orderBy: { position: 'asc' } });
  expect(entries.map(({ body }) => JSON.parse(body))).toMatchObject([
    { kind: 'flow.seeded', data: { name: 'onboarding', digest: onboarding.digest } },
    { kind: 'flow.seeded', data: { name: 'rotation', digest: rotation.digest } },
  ]);
});

test('a ledger from before flows could be published gets the shipped flows on publication once, and nothing else', async () => {
  const ledger = await emptyLedger();
  await seedFlows(ledger, [onboarding]);
  const publishing = sourceOf({ ...flowOf('review', []), on: 'publication' }, 'publication');
  const further = sourceOf({ ...flowOf('review', []), on: 'publication' }, 'publication-of-more');
  expect(await seedFlows(ledger, [stricter, rotation, publishing])).toEqual(['onboarding', 'rotation']);
  expect(await seedFlows(ledger, [onboarding, publishing, further])).toEqual(['publication-of-more']);
  const history = await ledger.prisma.flowPublication.findMany({ orderBy: { id: 'asc' } });
  expect(history.map(({ name, requestId }) => [name, requestId])).toEqual([
    ['onboarding', null],
    ['publication', null],
  ]);
});

test('a file that differs from what is published is reported as drift, and loads nothing', async () => {
  const ledger = await emptyLedger();
  await seedFlows(ledger, [onboarding, rotation]);
  const another = sourceOf(flowOf('rotation', [rotate]), 'rotation-of-keys');
  expect(await seedFlows(ledger, [stricter, rotation, another])).toEqual(['onboarding', 'rotation-of-keys']);
  expect(await ledger.prisma.flowVersion.count()).toBe(2);
});

test('processes that start at once seed one set of flows', async () => {
  const ledger = await emptyLedger();
  await Promise.all([1, 2, 3, 4].map(() => seedFlows(ledger, [onboarding, rotation])));
  expect(await ledger.prisma.publishedFlow.count()).toBe(2);
  expect(await ledger.prisma.evidenceEntry.count()).toBe(2);
});

test('a version is read back as exactly the flow that its digest names', async () => {
  const ledger = await emptyLedger();
  await seedFlows(ledger, [onboarding]);
  const { flow, author } = await flowVersion(ledger.prisma, onboarding.digest);
  expect(flow).toEqual(onboarding.flow);
  expect(flowDigest(flow)).toBe(onboarding.digest);
  expect(author).toBe('system:seed');
});

test('a version that is missing says so, and what to do', async () => {
  const ledger = await emptyLedger();
  await expect(flowVersion(ledger.prisma, 'absent')).rejects.toThrow(FlowVersionMissing);
});

test.each([
  ['a stage of a kind', { stages: [{ id: 'new', lieDown: { for: 'PT1H' } }, issue] }],
  ['a key of a stage', { stages: [{ ...ownership, unless: 'true' }, issue] }],
  ['a part', { embargoes: [] }],
  ['a version of the language', { apiVersion: 'tenure/v2' }],
])('%s that this release does not know is not passed over: nothing is done under that flow', async (_what, change) => {
  const ledger = await emptyLedger();
  const newer = { ...onboarding.flow, ...change } as Flow;
  const [canonical, digest] = [canonicalJson(newer), flowDigest(newer)];
  await seedFlows(ledger, [{ ...onboarding, canonical, digest }]);
  await expect(flowVersion(ledger.prisma, digest)).rejects.toThrow(FlowVersionNotUnderstood);
  await expect(ruling(ledger, 'onboarding', exampleFacts)).rejects.toThrow(/does not know/);
});

test('the most specific published flow rules a subject; none or two equals are a refusal that names them', async () => {
  const ledger = await emptyLedger();
  const forAccounts = sourceOf(flowOf('onboarding', [issue]), 'accounts', { kind: 'service-account' });
  await seedFlows(ledger, [onboarding, forAccounts]);
  const facts = { ...exampleFacts, request: { ...exampleFacts.request, kind: 'onboarding' as const } };
  expect(await ruling(ledger, 'onboarding', facts)).toMatchObject({ found: { digest: forAccounts.digest } });
  expect(await ruling(ledger, 'rotation', facts)).toMatchObject({ slug: 'no-flow' });

  const twice = await emptyLedger();
  await seedFlows(twice, [onboarding, sourceOf(flowOf('onboarding', [issue]), 'also-onboarding')]);
  expect(await ruling(twice, 'onboarding', facts)).toMatchObject({
    slug: 'ambiguous-flow',
    detail: expect.stringContaining('also-onboarding and onboarding'),
  });
});
