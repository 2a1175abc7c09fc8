import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { IdentityBody } from '../../api/representations/identity.ts';
import { RequestBody } from '../../api/representations/request.ts';
import { digestOfCaseFile } from '../../domain/caseFile.ts';
import { type ApiFixture, apiFixture, emailOf, onboarding, type PersonName } from './apiFixture.ts';
import { asked, decide, onboarded, RequestOnIdentity } from './onboarded.ts';

const Timeline = z.object({ items: z.array(z.looseObject({ kind: z.string() })) });
const Page = z.object({ items: z.array(RequestBody), nextCursor: z.string().nullable() });

/** How often the outbox is to tell the workflow to look where the request stands. */
const nudgesOf = (api: ApiFixture, requestId: string) =>
  api.ledger.prisma.outboxMessage.count({
    where: { kind: 'nudge', payload: { path: ['requestId'], equals: requestId } },
  });

test('a retried call finds its own request, also when it was answered long ago', async () => {
  const api = await apiFixture();
  const key = randomUUID();
  const first = await api.as('requester', '/v1/identities', { body: onboarding, key });
  const second = await api.as('requester', '/v1/identities', { body: onboarding, key });
  expect([first.status, second.status]).toEqual([202, 202]);
  expect(second.as(RequestBody).id).toBe(first.as(RequestBody).id);
  expect(second.headers.get('location')).toBe(`/v1/requests/${first.as(RequestBody).id}`);
  expect(api.gateway.opened).toBe(1);
});

test('a key names one act: another body, another target and another operation under it are refused', async () => {
  const api = await apiFixture();
  const { identityId } = await onboarded(api);
  const key = randomUUID();
  await api.as('requester', '/v1/identities', { body: { ...onboarding, name: 'second' }, key });
  const otherBody = await api.as('requester', '/v1/identities', { body: { ...onboarding, name: 'third' }, key });
  const otherOperation = await api.as('requester', `/v1/identities/${identityId}/rotations`, {
    body: { justification: 'x' },
    key,
  });
  expect([otherBody.status, otherBody.slug, otherOperation.slug]).toEqual([422, 'key-reused', 'key-reused']);
});

test("one principal's key is nothing to another principal", async () => {
  const api = await apiFixture();
  const { identityId } = await onboarded(api);
  const key = randomUUID();
  const rotation = { body: { justification: 'x' }, key };
  const first = (await api.as('owner', `/v1/identities/${identityId}/rotations`, rotation)).as(RequestBody);
  const joined = (
    await api.as('requester', `/v1/identities/${identityId}/rotations`, { body: { justification: 'y' }, key })
  ).status;
  expect(first.requester).toBe(emailOf('owner'));
  // A call of its own, which meets the running rotation; it is not taken for the owner's.
  expect(joined).toBe(409);
});

test('when the answer was lost the ledger is asked, and the caller gets the request that was opened', async () => {
  const api = await apiFixture();
  api.gateway.mode = 'lost';
  const answer = await api.as('requester', '/v1/identities', { body: onboarding });
  expect(answer.status).toBe(202);
  // Its run may have been lost with the answer.
  expect(await nudgesOf(api, answer.as(RequestBody).id)).toBe(1);
});

test('while Temporal is down the outcome is unknown, and the same key finds the truth afterwards', async () => {
  const api = await apiFixture();
  const call = { body: onboarding, key: randomUUID() };
  api.gateway.mode = 'down';
  const down = await api.as('requester', '/v1/identities', call);
  expect([down.status, down.slug, down.headers.get('retry-after')]).toEqual([503, 'unavailable', '1']);
  api.gateway.mode = 'up';
  expect((await api.as('requester', '/v1/identities', call)).status).toBe(202);
});

test('a refusal of the ledger is told with its own word, and the running request is named', async () => {
  const api = await apiFixture();
  const { identityId } = await onboarded(api);
  const running = (
    await api.as('owner', `/v1/identities/${identityId}/rotations`, { body: { justification: 'x' } })
  ).as(RequestBody);
  const second = await api.as('requester', `/v1/identities/${identityId}/rotations`, { body: { justification: 'y' } });
  expect([second.status, second.slug]).toEqual([409, 'request-running']);
  expect(JSON.parse(second.text)).toMatchObject({ runningRequestId: running.id });
});

test('the digest that a request shows is that of its case file, which is the review with people as pseudonyms', async () => {
  const api = await apiFixture();
  const request = await asked(api);
  const { caseFile: _version, ...shown } = request.caseFile;
  expect(digestOfCaseFile(request.caseFile)).toBe(request.digest);
  const withNames = JSON.stringify(shown).replace(/p_[0-9a-f]{32}/g, (found) => request.people[found] ?? found);
  expect(JSON.parse(withNames)).toEqual(request.review);
  expect(JSON.stringify(request.caseFile)).not.toContain('@');
});

test('an approval by an eligible person counts, and the request goes on', async () => {
  const api = await apiFixture();
  const request = await asked(api);
  const decided = (await decide(api, 'security-1', request.id)).as(RequestBody);
  expect(decided.decisions).toMatchObject([
    { approver: emailOf('security-1'), verdict: 'approve', digest: request.digest },
  ]);
  expect(decided.state).toBe('executing');
});

test.each([
  ['requester', 'self-approval'],
  ['owner', 'self-approval'],
  ['stranger', 'not-eligible'],
] as const)('%s may not approve: %s, and evidence keeps the attempt', async (person, slug) => {
  const api = await apiFixture();
  const request = await asked(api);
  const answer = await decide(api, person, request.id);
  expect([answer.status, answer.slug]).toEqual([403, slug]);
  expect(await api.ledger.prisma.decision.count()).toBe(0);
  const { items } = (await api.as('security-1', `/v1/identities/${request.identityId}/timeline`)).as(Timeline);
  expect(items.at(-1)).toMatchObject({ kind: 'decision.refused', requestId: request.id, data: { reason: slug } });
});

test('a decision on another revision or on other content than is shown is refused', async () => {
  const api = await apiFixture();
  const { id, revision, digest } = await asked(api);
  const send = (body: object) =>
    api.as('security-1', `/v1/requests/${id}/decisions`, { body: { verdict: 'approve', revision, digest, ...body } });
  expect((await send({ revision: revision + 1 })).slug).toBe('revision-changed');
  expect((await send({ digest: '0'.repeat(64) })).slug).toBe('digest-mismatch');
});

test('an amendment takes the next revision and voids what was seen before it', async () => {
  const api = await apiFixture();
  const { id, revision, digest } = await asked(api);
  const amended = (
    await api.as('requester', `/v1/requests/${id}/amendments`, {
      body: { scopes: ['write'], reason: 'needs to write' },
    })
  ).as(RequestOnIdentity);
  expect(amended.revision).toBe(revision + 1);
  expect(amended.review.subject.scopes).toEqual(['write']);
  const stale = await api.as('security-1', `/v1/requests/${id}/decisions`, {
    body: { verdict: 'approve', revision, digest },
  });
  expect(stale.slug).toBe('revision-changed');
});

test('a retried decision gets the first answer, also when that answer was lost', async () => {
  const api = await apiFixture();
  const { id, revision, digest } = await asked(api);
  const call = { body: { verdict: 'deny', revision, digest }, key: randomUUID() };
  api.gateway.mode = 'lost';
  expect(await nudgesOf(api, id)).toBe(0);
  expect((await api.as('security-1', `/v1/requests/${id}/decisions`, call)).status).toBe(200);
  // Its run may not have heard of it either, and an API that was killed cannot tell it.
  expect(await nudgesOf(api, id)).toBe(1);
  api.gateway.mode = 'up';
  expect((await api.as('security-1', `/v1/requests/${id}/decisions`, call)).as(RequestBody).state).toBe('denied');
  expect(await nudgesOf(api, id)).toBe(2);
  expect(
    (
      await api.as('security-1', `/v1/requests/${id}/decisions`, {
        ...call,
        body: { ...call.body, verdict: 'approve' },
      })
    ).slug,
  ).toBe('key-reused');
  expect(await api.ledger.prisma.decision.count()).toBe(1);
});

test('a decision while Temporal is down has an unknown outcome, and nothing is counted until the retry', async () => {
  const api = await apiFixture();
  const { id, revision, digest } = await asked(api);
  const call = { body: { verdict: 'approve', revision, digest }, key: randomUUID() };
  api.gateway.mode = 'down';
  expect((await api.as('security-1', `/v1/requests/${id}/decisions`, call)).slug).toBe('unavailable');
  expect(await api.ledger.prisma.decision.count()).toBe(0);
  api.gateway.mode = 'up';
  expect((await api.as('security-1', `/v1/requests/${id}/decisions`, call)).status).toBe(200);
});

test('pipelines do not decide', async () => {
  const api = await apiFixture();
  const { id, revision, digest } = await asked(api);
  expect(
    (
      await api.send(await api.pipelineToken(), `/v1/requests/${id}/decisions`, {
        body: { verdict: 'approve', revision, digest },
      })
    ).slug,
  ).toBe('forbidden');
});

test('"awaiting=me" lists what I may decide and nothing else', async () => {
  const api = await apiFixture();
  const mine = await asked(api);
  const list = async (person: PersonName) =>
    (await api.as(person, '/v1/requests?awaiting=me')).as(Page).items.map(({ id }) => id);
  expect(await list('security-1')).toEqual([mine.id]);
  expect(await list('requester')).toEqual([]);
  expect(await list('stranger')).toEqual([]);
  await decide(api, 'security-1', mine.id);
  expect(await list('security-2')).toEqual([]);
});

test('pages follow one another without skipping or repeating, newest first', async () => {
  const api = await apiFixture();
  const made: string[] = [];
  for (const name of ['one', 'two', 'three', 'four', 'five']) made.unshift((await asked(api, { name })).id);
  const seen: string[] = [];
  let cursor: string | null = '';
  while (cursor !== null) {
    const page: z.output<typeof Page> = (
      await api.as('owner', `/v1/requests?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`)
    ).as(Page);
    expect(page.items.length).toBeLessThanOrEqual(2);
    seen.push(...page.items.map(({ id }) => id));
    cursor = page.nextCursor;
  }
  expect(seen).toEqual(made);
});

test('a long-poll answers when the request changes', async () => {
  const api = await apiFixture();
  const { id, sequence } = await asked(api);
  const waiting = api.as('requester', `/v1/requests/${id}?waitSeconds=30&afterSequence=${sequence}`);
  await decide(api, 'security-1', id);
  const changed = (await waiting).as(RequestBody);
  expect(changed.sequence).toBeGreaterThan(sequence);
});

test('a long-poll for what has already happened answers at once', async () => {
  const api = await apiFixture();
  const { id } = await asked(api);
  expect((await api.as('requester', `/v1/requests/${id}?waitSeconds=60&afterSequence=0`)).status).toBe(200);
});

test('identities can be narrowed by their owner, and whatever widens is refused', async () => {
  const api = await apiFixture();
  const { identityId } = await onboarded(api, { scopes: ['read', 'write'] });
  const change = (person: 'owner' | 'stranger', body: object) =>
    api.as(person, `/v1/identities/${identityId}/changes`, { body: { reason: 'less is enough', ...body } });
  expect((await change('stranger', { scopes: ['read'] })).slug).toBe('forbidden');
  expect((await change('owner', { scopes: ['read'] })).as(IdentityBody).scopes).toEqual(['read']);
  expect((await change('owner', { scopes: ['read', 'write'] })).slug).toBe('no-flow');
  expect((await change('owner', { expiresAt: '2035-01-01T00:00:00Z' })).slug).toBe('no-flow');
  expect((await change('owner', { consumers: ['pipeline:deploy', emailOf('stranger')] })).slug).toBe('no-flow');
  expect((await change('owner', { owner: emailOf('stranger') })).slug).toBe('no-flow');
  expect((await change('owner', {})).slug).toBe('not-narrowing');
});
