import { beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { FlowDiffBody, FlowPathBody, FlowVersion, SimulationBody } from '../../api/representations/flow.ts';
import { RequestBody } from '../../api/representations/request.ts';
import { canonicalJson } from '../../domain/evidence/canonicalJson.ts';
import { parseFlow } from '../../domain/flow/parse.ts';
import { type ApiFixture, apiFixture, onboarding, type PersonName } from './apiFixture.ts';

const production = `apiVersion: tenure/v1
kind: Flow
metadata: {name: production-accounts, owner: security, description: Two people agree.}
on: onboarding
subject: {where: 'subject.environment == "production"'}
stages:
  - {id: ownership, verify: {that: owner.active, otherwise: owner-not-valid}}
  - id: security
    approval:
      require: [{from: 'group:security', count: 2}]
      separation: [requester, owner]
      timeout: {after: P1D, result: deny}
  - {id: issue, effect: issue}
`;
const weaker = production.replace('count: 2', 'count: 1');
const broken = production.replace('owner.active', 'owner.actve').replace('P1D', 'tomorrow');

let api: ApiFixture;
beforeAll(async () => {
  api = await apiFixture({ lives: 'file', moreFlows: [production] });
});

const List = z.object({ items: z.array(z.looseObject({ name: z.string() })), nextCursor: z.string().nullable() });
const namesOf = ({ items }: z.output<typeof List>) => items.map(({ name }) => name);
const post = (person: PersonName, path: string, body: object) => api.as(person, path, { body });

/** As the file reads, by the same parser. */
function parsed(source: string) {
  const read = parseFlow(source, 'f');
  if (!read.ok) throw new Error('the flow does not parse');
  return read;
}

test('everybody who is signed in reads which flows rule, in the order of their names, page by page', async () => {
  for (const token of [await api.tokenOf('stranger'), await api.pipelineToken()]) {
    const all = (await api.send(token, '/v1/flows')).as(List);
    expect(namesOf(all)).toEqual(['onboarding', 'production-accounts', 'revocation', 'rotation']);
  }
  expect((await api.send(undefined, '/v1/flows')).slug).toBe('unauthenticated');

  const first = (await api.as('stranger', '/v1/flows?limit=3')).as(List);
  const second = (await api.as('stranger', `/v1/flows?limit=3&cursor=${first.nextCursor}`)).as(List);
  expect([...namesOf(first), ...namesOf(second)]).toEqual([
    'onboarding',
    'production-accounts',
    'revocation',
    'rotation',
  ]);
  expect(second.nextCursor).toBeNull();
  expect(namesOf((await api.as('stranger', '/v1/flows?on=onboarding')).as(List))).toEqual([
    'onboarding',
    'production-accounts',
  ]);
  expect((await api.as('stranger', '/v1/flows?cursor=Li4vLi4')).slug).toBe('invalid-request');
});

test('a flow is read as it was written and as it was understood, and its digest is of the latter', async () => {
  const { flow, digest } = parsed(production);
  const read = (await api.as('stranger', '/v1/flows/production-accounts')).as(FlowVersion);
  expect(read).toMatchObject({ name: 'production-accounts', on: 'onboarding', author: 'system:seed', digest });
  expect(read.source).toBe(production);
  expect(canonicalJson(read.flow)).toBe(canonicalJson(flow));
  expect(read.publishedAt).not.toBeNull();
  expect((await api.as('stranger', `/v1/flows/production-accounts?digest=${digest}`)).as(FlowVersion)).toEqual(read);
});

test('a stored version that rules no more is read by its digest, under its own name only', async () => {
  const { flow, digest } = parsed(weaker);
  const stored = { digest, name: flow.metadata.name, operation: flow.on, author: 'ann@example.com' };
  await api.ledger.prisma.flowVersion.create({ data: { ...stored, canonical: canonicalJson(flow), source: weaker } });
  const read = (await api.as('stranger', `/v1/flows/production-accounts?digest=${digest}`)).as(FlowVersion);
  expect(read).toMatchObject({ source: weaker, publishedAt: null, author: 'ann@example.com' });
  for (const path of [
    `/v1/flows/rotation?digest=${digest}`,
    '/v1/flows/nowhere',
    `/v1/flows/rotation?digest=${'0'.repeat(64)}`,
  ])
    expect((await api.as('stranger', path)).slug).toBe('not-found');
  expect((await api.as('stranger', '/v1/flows/rotation?digest=abc')).slug).toBe('invalid-request');
});

test('the paths of a flow are those of the requests that more specific flows leave to it', async () => {
  const Paths = z.object({ items: z.array(FlowPathBody) });
  const pathsOf = async (name: string) => (await api.as('stranger', `/v1/flows/${name}/paths`)).as(Paths).items;
  const strict = await pathsOf('production-accounts');
  expect(new Set(strict.map(({ flow }) => flow))).toEqual(new Set(['production-accounts']));
  expect(strict[0]).toMatchObject({
    number: 1,
    conditions: ['the kind is not agent', 'the environment is production', 'the owner is not active'],
    steps: [{ stage: 'ownership', outcome: 'refused', words: 'refused: owner-not-valid' }],
    end: { state: 'denied', reason: 'owner-not-valid' },
  });
  for (const { conditions } of await pathsOf('onboarding'))
    expect(conditions).toContain('the environment is not production');
});

test('the picture of a flow can be opened and embedded: it holds no script, and its policy allows its own style alone', async () => {
  const picture = await api.as('stranger', '/v1/flows/production-accounts/paths.svg', {
    headers: { accept: 'image/avif,image/webp,image/svg+xml,image/*,*/*;q=0.8' },
  });
  expect(picture.status).toBe(200);
  expect(picture.headers.get('content-type')).toBe('image/svg+xml; charset=utf-8');
  expect(picture.headers.get('x-content-type-options')).toBe('nosniff');
  const policy = picture.headers.get('content-security-policy') ?? '';
  expect(policy).toMatch(/^default-src 'none'; style-src 'sha256-[^']+'; .*sandbox$/);
  expect(policy).not.toContain('unsafe');
  const style = /<style>([\s\S]*)<\/style>/.exec(picture.text)?.[1] ?? '';
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(style));
  expect(policy).toContain(`'sha256-${Buffer.from(digest).toString('base64')}'`);
  expect(picture.text).toContain('<text class="name"');
  expect(picture.text).not.toMatch(/<script|href|on\w+=|url\((?!#)/i);
  const refused = await api.as('stranger', '/v1/flows/production-accounts/paths.svg', {
    headers: { accept: 'text/html' },
  });
  expect([refused.status, refused.slug]).toEqual([406, 'not-acceptable']);
});

test('a diff says what a change weakens, against the published flow, a stored version or a text', async () => {
  const { digest } = parsed(production);
  for (const old of [undefined, { name: 'production-accounts' }, { digest }, { source: production }]) {
    const diff = (await post('responder-1', '/v1/flows/diff', { new: weaker, ...(old && { old }) })).as(FlowDiffBody);
    expect(diff.ok).toBe(false);
    expect(diff.changes).toMatchObject([
      { label: 'WEAKENS', flow: 'production-accounts', was: 'approvers 2', is: '1' },
    ]);
    expect(diff.paths).toMatchObject([
      { label: 'WEAKENS', on: 'onboarding', because: 'fewer people must agree, or more may' },
    ]);
  }
  const same = (await post('auditor', '/v1/flows/diff', { new: production })).as(FlowDiffBody);
  expect(same).toEqual({ ok: true, changes: [], paths: [] });
});

test('a new flow that takes requests from a stricter one weakens, although no field of that one changed', async () => {
  const taking = weaker.replace('production-accounts', 'bots').replace('{where:', '{kind: service-account, where:');
  const diff = (await post('admin', '/v1/flows/diff', { new: taking })).as(FlowDiffBody);
  expect(diff.paths).toMatchObject([{ label: 'WEAKENS', was: expect.stringContaining('2 of group:security') }]);
});

test('a simulation tells whose requests a change would decide otherwise, and why', async () => {
  const opened = (await post('requester', '/v1/identities', onboarding)).as(z.object({ id: z.string() }));
  const request = (await api.as('security-1', `/v1/requests/${opened.id}`)).as(RequestBody);
  const decision = { verdict: 'approve', revision: request.revision, digest: request.digest };
  expect((await post('security-1', `/v1/requests/${opened.id}/decisions`, decision)).status).toBe(200);

  const simulation = (await post('auditor', '/v1/flows/simulate', { new: weaker, limit: 10 })).as(SimulationBody);
  expect(simulation).toMatchObject({
    ok: false,
    played: 1,
    changed: [
      {
        id: opened.id,
        subject: onboarding.name,
        requester: 'requester@example.com',
        before: { outcome: 'waiting' },
        after: { outcome: 'completed' },
      },
    ],
  });
  const same = (await post('auditor', '/v1/flows/simulate', { new: production })).as(SimulationBody);
  expect(same).toMatchObject({ ok: true, played: 1, changed: [], unlike: [] });
  // Only the newest, and only of its operation.
  expect(
    (await post('requester', '/v1/identities', { ...onboarding, name: 'newer', environment: 'staging' })).status,
  ).toBe(202);
  const newest = (await post('auditor', '/v1/flows/simulate', { new: weaker, limit: 1 })).as(SimulationBody);
  expect(newest).toMatchObject({ played: 0, others: 1, changed: [] });
});

test('who may: analyses are for those who answer for flows, and simulations, which name people, for fewer', async () => {
  for (const person of ['requester', 'stranger', 'security-1'] as const)
    for (const path of ['/v1/flows/diff', '/v1/flows/simulate'])
      expect([person, (await post(person, path, { new: production })).slug]).toEqual([person, 'forbidden']);
  expect((await api.send(await api.pipelineToken(), '/v1/flows/diff', { body: { new: production } })).slug).toBe(
    'forbidden',
  );
  for (const person of ['responder-1', 'admin'] as const)
    expect([person, (await post(person, '/v1/flows/simulate', { new: production })).slug]).toEqual([
      person,
      'forbidden',
    ]);
});

test('a question is no write: it takes no Idempotency-Key, and leaves nothing behind', async () => {
  const before = await api.ledger.prisma.evidenceEntry.count();
  const answer = await api.as('auditor', '/v1/flows/diff', {
    body: { new: weaker },
    headers: { 'idempotency-key': '' },
  });
  expect(answer.status).toBe(200);
  expect(await api.ledger.prisma.evidenceEntry.count()).toBe(before);
  expect(await api.ledger.prisma.flowVersion.count({ where: { author: 'auditor@example.com' } })).toBe(0);
});

const Invalid = z.object({
  mistakes: z.array(
    z.object({ file: z.string(), line: z.int(), column: z.int(), reason: z.string(), text: z.string() }).loose(),
  ),
});

test.each(['/v1/flows/diff', '/v1/flows/simulate'])(
  'to %s, a flow with mistakes gets all of them at their places, with line, caret and suggestion',
  async (path) => {
    const answer = await post('auditor', path, { new: broken });
    expect([answer.status, answer.slug]).toEqual([422, 'flow-invalid']);
    const { mistakes } = Invalid.parse(JSON.parse(answer.text));
    expect(mistakes).toMatchObject([
      { file: 'new', line: 7, column: 42, suggestion: 'active' },
      { file: 'new', line: 12, path: 'stages[1].approval.timeout.after' },
    ]);
    expect(mistakes[0]?.text).toContain('^\n  did you mean');
    const old = await post('auditor', path, { new: production, old: { source: broken } });
    expect(Invalid.parse(JSON.parse(old.text)).mistakes[0]?.file).toBe('old.source');
  },
);

test.each([
  ['nothing to compare', {}, 'body.new'],
  ['two old flows', { new: production, old: { name: 'rotation', source: production } }, 'body.old'],
  ['no old flow under old', { new: production, old: {} }, 'body.old'],
  ['another operation than that of the old flow', { new: production, old: { name: 'rotation' } }, 'body.new'],
  ['a limit of none', { new: production, limit: 0 }, 'body.limit'],
  ['a limit beyond all', { new: production, limit: 2_001 }, 'body.limit'],
  ['an unknown field', { new: production, colour: 'red' }, 'body.colour'],
])('a simulation of %s is refused, and names the field', async (_what, body, field) => {
  const answer = await post('auditor', '/v1/flows/simulate', body);
  expect([answer.status, answer.slug]).toEqual([400, 'invalid-request']);
  expect(answer.text).toContain(`"field":"${field}"`);
});

test('a flow of a name that is not published has nothing to be simulated against, until it is named', async () => {
  const renamed = weaker.replace('production-accounts', 'renamed');
  expect((await post('auditor', '/v1/flows/simulate', { new: renamed })).slug).toBe('not-found');
  const named = { new: renamed, old: { name: 'production-accounts' } };
  expect((await post('auditor', '/v1/flows/simulate', named)).status).toBe(200);
});

test('more analyses than one principal may ask for in a minute are refused; reading goes on', async () => {
  const limited = await apiFixture({ limits: { perAddress: 100, perPrincipal: 100, analyses: 1 } });
  expect((await limited.as('auditor', '/v1/flows/onboarding/paths')).status).toBe(200);
  const second = await limited.as('auditor', '/v1/flows/diff', { body: { new: production } });
  expect([second.status, second.slug]).toEqual([429, 'too-many-requests']);
  expect((await limited.as('auditor', '/v1/flows/onboarding')).status).toBe(200);
  expect((await limited.as('admin', '/v1/flows/onboarding/paths')).status).toBe(200);
});

test('a published flow that this release does not know is told as such, naming what to do', async () => {
  const older = await apiFixture();
  const newer = { ...parsed(production).flow, embargoes: [] };
  const digest = 'a'.repeat(64);
  const name = 'production-accounts';
  const { flowVersion, publishedFlow } = older.ledger.prisma;
  await flowVersion.create({
    data: { digest, name, operation: 'onboarding', canonical: canonicalJson(newer), source: production, author: 'ann' },
  });
  await publishedFlow.create({ data: { name, operation: 'onboarding', digest } });
  const answer = await older.as('stranger', `/v1/flows/${name}`);
  expect([answer.status, answer.slug]).toEqual([503, 'newer-release']);
  expect(answer.detail).toContain(digest);
});
