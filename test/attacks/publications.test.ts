import { randomUUID } from 'node:crypto';
import { beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { RequestBody } from '../../api/representations/request.ts';
import { idFromKey } from '../../domain/ids.ts';
import { type ApiFixture, apiFixture, emailOf } from '../api/apiFixture.ts';
import { decide } from '../api/onboarded.ts';
import { plainFlow, publicationFlows, publicationOrder } from '../setup/publications.ts';

/** Whoever wants other flows to rule than people agreed to, and what they get. */

let api: ApiFixture;
beforeEach(async () => {
  api = await apiFixture({ moreFlows: [...publicationFlows, plainFlow('kept'), plainFlow('other')] });
});

const body = (source: string) => ({ source, justification: 'ticket 7' });
const publish = (name: string, source: string, key = randomUUID()) =>
  api.as('flow-author', `/v1/flows/${name}/versions`, { body: body(source), key });
const asked = async (name: string, revision: number) =>
  (await publish(name, plainFlow(name, revision))).as(RequestBody);

const published = () =>
  api.ledger.prisma.publishedFlow.findMany({ select: { name: true, digest: true }, orderBy: { name: 'asc' } });
const stateOf = async (id: string) => {
  const { state, reason } = (await api.as('auditor', `/v1/requests/${id}`)).as(RequestBody);
  return { state, reason };
};

test('only authors ask, pipelines never do, and an author outside security approves nothing', async () => {
  const order = { body: body(plainFlow('kept', 2)) };
  expect((await api.as('security-1', '/v1/flows/kept/versions', order)).slug).toBe('forbidden');
  expect((await api.send(await api.pipelineToken(), '/v1/flows/kept/versions', order)).slug).toBe('forbidden');
  const { id } = await asked('kept', 2);
  expect((await decide(api, 'flow-author', id)).slug).toBe('self-approval');
  expect((await decide(api, 'stranger', id)).slug).toBe('not-eligible');
});

test('an approval that comes after other flows were published publishes nothing: what was shown is no longer so', async () => {
  const [first, second] = [await asked('kept', 2), await asked('other', 2)];
  expect((await decide(api, 'security-1', first.id)).as(RequestBody).state).toBe('completed');
  const before = await published();
  await decide(api, 'security-1', second.id);
  expect(await stateOf(second.id)).toEqual({ state: 'denied', reason: 'published-meanwhile' });
  expect(await published()).toEqual(before);
});

test('what is to be published cannot be changed after it was stored, and where somebody does, nothing is published', async () => {
  const { prisma } = api.ledger;
  const { id, revision, digest } = await asked('kept', 2);
  const before = await published();
  const swap = `UPDATE "publication" SET "documents" = replace("documents"::text, 'revision 2', 'revision 9')::jsonb`;
  await expect(prisma.$executeRawUnsafe(swap)).rejects.toThrow(/never_changes|never change/);
  await prisma.$executeRawUnsafe(`ALTER TABLE "publication" DISABLE TRIGGER USER`);
  await prisma.$executeRawUnsafe(swap);
  const decision = { body: { verdict: 'approve', revision, digest } };
  expect((await api.as('security-1', `/v1/requests/${id}/decisions`, decision)).slug).toBe('unavailable');
  expect(await published()).toEqual(before);
  expect((await api.as('security-1', `/v1/requests/${id}`)).slug).toBe('internal');
  const { state } = await prisma.request.findUniqueOrThrow({ where: { id } });
  expect(state).toBe('awaiting-approval');

  const items = `UPDATE "publication" SET "proposal" = replace("proposal"::text, '"weakens": 0', '"weakens": 7')::jsonb`;
  await prisma.$executeRawUnsafe(items);
  expect((await api.as('security-1', `/v1/requests/${id}`)).slug).toBe('internal');
});

test('an order that was forged past the API names what its author stored, or opens nothing', async () => {
  const installation = { ledger: api.ledger };
  const author = emailOf('flow-author');
  const order = await publicationOrder(installation, { sources: [plainFlow('kept', 2)], author });
  const unknown = await api.gateway.open({ ...order, publication: 'f'.repeat(64) });
  expect(unknown).toMatchObject({ opened: false, slug: 'not-found' });
  // Another name for who asks would let the author approve.
  const key = randomUUID();
  const principal = emailOf('security-2');
  const requestId = idFromKey('request', { principal, key });
  const forged = await api.gateway.open({ ...order, principal, requestId, idempotencyKey: key });
  expect(forged).toMatchObject({ opened: false, slug: 'not-found' });
  expect(await api.ledger.prisma.request.count()).toBe(0);
  expect(await api.gateway.open(order)).toMatchObject({ opened: true, plan: { state: 'awaiting-approval' } });
});

test('one key is one publication: the same call finds it, also when it closed, and another body is refused', async () => {
  const key = randomUUID();
  const first = (await publish('kept', plainFlow('kept', 2), key)).as(RequestBody);
  await decide(api, 'security-1', first.id);
  expect((await publish('kept', plainFlow('kept', 2), key)).as(RequestBody)).toMatchObject({
    id: first.id,
    state: 'completed',
  });
  expect((await publish('kept', plainFlow('kept', 3), key)).slug).toBe('key-reused');
  expect((await publish('kept', plainFlow('kept', 2))).slug).toBe('already-published');
});

test('a rollback goes only to what was published under that name', async () => {
  const { id } = await asked('kept', 2);
  const rollback = (digest?: string) =>
    api.as('flow-author', '/v1/flows/kept/rollback', { body: { justification: 'back', ...(digest && { digest }) } });
  expect((await rollback()).slug).toBe('never-published');
  const { review } = (await api.as('auditor', `/v1/requests/${id}`)).as(RequestBody);
  const stored = 'publication' in review ? review.publication.items[0]?.digest : undefined;
  expect((await rollback(stored ?? '')).slug).toBe('never-published');
  const other = (await published()).find(({ name }) => name === 'other')?.digest;
  expect((await rollback(other)).slug).toBe('never-published');
  const forged = await publicationOrder(
    { ledger: api.ledger },
    { sources: [plainFlow('other', 5)], isRollback: true, author: emailOf('flow-author') },
  );
  expect(await api.gateway.open(forged)).toMatchObject({ opened: false, slug: 'never-published' });
});

test('nobody can leave an operation, or publishing itself, without any flow', async () => {
  const retire = (...names: string[]) =>
    api.as('flow-author', '/v1/flows', { body: { flows: [], retire: names, justification: 'tidy up' } });
  const refused = await retire('publication-default', 'publication-rollback');
  expect([refused.slug, refused.detail]).toEqual(['flow-not-sound', expect.stringContaining('No flow on publication')]);
  expect((await retire('no-such-flow')).slug).toBe('flow-not-sound');
  expect((await retire('kept')).as(RequestBody).flow.name).toBe('publication-default');
});

const Refusal = z.looseObject({ findings: z.array(z.looseObject({ rule: z.string() })).min(1) });
const sound = plainFlow('kept', 2);

const hostile = [
  ['a bomb of aliases', `a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n${sound}`],
  ['a nest', `${sound}\ntests: ${'['.repeat(5_000)}`],
  ['a key twice', sound.replace('kind: Flow', 'kind: Flow\nkind: Flow')],
  ['a key of every object', sound.replace('on: rotation', 'on: rotation\n__proto__: {admin: true}')],
  ['a look-alike name', sound.replace('name: kept', 'name: kеpt')],
  ['another name than that of its address', sound.replace('name: kept', 'name: other-name')],
  ['the name of the invariants', sound.replace('name: kept', 'name: invariants')],
  ['a language that nobody reads', sound.replace('tenure/v1', 'tenure/v9')],
  [
    'facts of another operation',
    sound.replace('on: rotation', 'on: publication').replace('effect: rotate', 'effect: publish'),
  ],
  [
    'a stage that can never apply',
    sound.replace('stages:', 'stages:\n  - {id: no, verify: {that: "1 > 2", otherwise: never}}'),
  ],
  [
    'a test that fails',
    `${sound}tests: [{name: it denies, given: {subject: {environment: kept}}, expect: {outcome: denied}}]`,
  ],
] as const;

test('hostile and broken sources are refused with where and why; nothing is stored, and the API goes on', async () => {
  for (const [what, source] of hostile) {
    const refused = await publish('kept', source);
    expect(refused.slug, what).toBe('flow-not-sound');
    expect(Refusal.parse(JSON.parse(refused.text)).findings.length, what).toBeGreaterThan(0);
  }
  expect(await api.ledger.prisma.publication.count()).toBe(0);
  expect(await api.ledger.prisma.request.count()).toBe(0);
  expect((await api.send(undefined, '/healthz')).status).toBe(200);
});
