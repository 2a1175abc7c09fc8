import { expect, test } from 'vitest';
import { z } from 'zod';
import { RequestBody } from '../../api/representations/request.ts';
import { personIdPattern } from '../../domain/ids.ts';
import { type ApiFixture, apiFixture, emailOf, onboarding } from '../api/apiFixture.ts';
import { asked, onboarded } from '../api/onboarded.ts';

/** Two ids that turn out to be one person are one wherever they are compared or counted, and four eyes make them so. */

const Linked = z.object({ state: z.string(), personId: z.string(), mergedId: z.string().nullable() });
const People = z.object({ items: z.array(z.looseObject({ id: z.string(), aliases: z.array(z.string()) })) });

const review = `apiVersion: tenure/v1
kind: Flow
metadata: {name: review, owner: security, description: Two of security.}
on: review
stages:
  - id: security
    approval:
      require: [{from: 'group:security', count: 2}]
      separation: [requester]
      proof: session
      timeout: {after: P1D, result: deny}
  - {id: review, effect: review}
tests: [{name: it waits, expect: {outcome: waiting}}]
`;

/** Somebody of the provider, by subject, in these groups. */
const tokenOf = (api: ApiFixture, sub: string, ...groups: string[]) =>
  api.provider.token({ sub, email: `${sub}@example.com`, email_verified: true, groups });

async function idOf(api: ApiFixture, sub: string): Promise<string> {
  const { personId } = await api.ledger.prisma.personAccount.findFirstOrThrow({ where: { subject: sub } });
  return personId;
}

const link = async (api: ApiFixture, by: string, personId: string, subject: string) =>
  api.send(await tokenOf(api, by, 'admin'), `/v1/people/${personId}/accounts`, {
    body: { provider: 'company', subject, reason: 'One person with two accounts, ticket 4711' },
  });

/** Two administrators make the account of `sub` the account of whoever `of` is. */
async function merge(api: ApiFixture, sub: string, of: string): Promise<void> {
  for (const [by, state] of [
    ['admin-a', 'proposed'],
    ['admin-b', 'linked'],
  ] as const) {
    const answer = await link(api, by, await idOf(api, of), sub);
    expect(answer.as(Linked).state).toBe(state);
  }
}

async function approve(api: ApiFixture, sub: string, requestId: string, ...groups: string[]) {
  const token = await tokenOf(api, sub, ...groups);
  const { revision, digest } = (await api.send(token, `/v1/requests/${requestId}`)).as(RequestBody);
  return api.send(token, `/v1/requests/${requestId}/decisions`, { body: { verdict: 'approve', revision, digest } });
}

test('an approval by who turns out to be the requester counts no more', async () => {
  const api = await apiFixture();
  const body = { ...onboarding, name: 'mine' };
  const answer = await api.send(await tokenOf(api, 'asker', 'requester'), '/v1/identities', { body });
  const { id } = answer.as(RequestBody);
  (await approve(api, 'other', id, 'security')).as(RequestBody);
  await merge(api, 'other', 'asker');
  await api.carryOut(id);
  const now = (await api.as('auditor', `/v1/requests/${id}`)).as(RequestBody);
  expect(now.state).toBe('awaiting-approval');
  expect((await approve(api, 'asker', id, 'security')).slug).toBe('self-approval');
});

test('two approvers who are one are one of two', async () => {
  const api = await apiFixture({ moreFlows: [review] });
  const { identityId } = await onboarded(api);
  const opened = await api.as('requester', `/v1/identities/${identityId}/reviews`, {
    body: { justification: 'Cadence' },
  });
  const { id } = opened.as(RequestBody);
  (await approve(api, 'one', id, 'security')).as(RequestBody);
  (await api.send(await tokenOf(api, 'two', 'security'), '/v1/requests')).as(z.unknown());
  await merge(api, 'two', 'one');
  expect((await approve(api, 'two', id, 'security')).slug).toBe('already-decided');
  expect((await approve(api, 'three', id, 'security')).as(RequestBody).state).not.toBe('awaiting-approval');
});

test('who opened a freeze does not lift it under another id, and what names either owner names both', async () => {
  const api = await apiFixture();
  for (const sub of ['first', 'second']) await api.send(await tokenOf(api, sub, 'responder'), '/v1/requests');
  const { identityId } = await asked(api, { owner: 'second@example.com' });
  await merge(api, 'second', 'first');
  const freeze = await api.send(await tokenOf(api, 'first', 'responder'), '/v1/freezes', {
    body: { owners: ['first@example.com'], reason: 'a leaked laptop' },
  });
  const { id } = freeze.as(z.looseObject({ id: z.string() }));
  expect((await api.as('auditor', `/v1/identities/${identityId}`)).text).toContain(id);
  await api.ledger.prisma.freeze.updateMany({ data: { liftedAt: null } });
  const lifted = await api.send(await tokenOf(api, 'second', 'responder'), `/v1/freezes/${id}/lift`, {
    body: { reason: 'over', override: true },
  });
  expect(lifted.slug).toBe('second-responder');
  const owned = await api.as('auditor', '/v1/identities?owner=first@example.com');
  expect(owned.text).toContain(identityId);
});

test('a link takes two administrators, and neither side of it is one of them', async () => {
  const api = await apiFixture();
  for (const sub of ['person', 'admin-a', 'admin-b']) await api.send(await tokenOf(api, sub, 'admin'), '/v1/requests');
  const person = await idOf(api, 'person');
  // Alone, however often: proposed, and no more.
  for (let call = 0; call < 3; call += 1)
    expect((await link(api, 'admin-a', person, 'another')).as(Linked).state).toBe('proposed');
  expect((await link(api, 'person', person, 'another')).slug).toBe('self-approval');
  expect((await link(api, 'admin-b', person, 'admin-b')).slug).toBe('self-approval');
  expect((await link(api, 'admin-a', await idOf(api, 'admin-a'), 'person')).slug).toBe('self-approval');
  expect((await api.as('security-1', `/v1/people/${person}/accounts`, { body: {} })).slug).toBe('forbidden');
  expect((await link(api, 'admin-b', person, 'another')).as(Linked).state).toBe('linked');
  // By then it is so, and saying it again changes nothing.
  expect((await link(api, 'admin-a', person, 'another')).as(Linked)).toMatchObject({ state: 'linked', mergedId: null });
  const evidence = await api.ledger.prisma.evidenceEntry.findMany({ where: { body: { contains: '"person.' } } });
  const kinds = evidence.map(({ body }) => (JSON.parse(body) as { kind: string }).kind);
  expect(kinds.filter((kind) => kind.includes('link'))).toEqual(['person.link-proposed', 'person.account-linked']);
  expect(await idOf(api, 'another')).toBe(person);
});

test('who became a side of a link since they proposed it did not propose it', async () => {
  const api = await apiFixture({ company: ', domains: [example.com]', partner: ', domains: [example.com]' });
  for (const sub of ['victim', 'admin-a']) await api.send(await tokenOf(api, sub, 'admin'), '/v1/requests');
  const [victim, proposer] = [await idOf(api, 'victim'), await idOf(api, 'admin-a')];
  const linkOther = async (by: string) =>
    api.send(await tokenOf(api, by, 'admin'), `/v1/people/${victim}/accounts`, {
      body: { provider: 'partner', subject: 'p-77', reason: 'The account at our partner, ticket 4712' },
    });
  expect((await linkOther('admin-a')).as(Linked).state).toBe('proposed');
  // Nobody's until then; by its address it is the proposer's own from now on.
  const own = { sub: 'p-77', email: 'admin-a@example.com', email_verified: true, groups: [] };
  await api.send(await api.partner.token(own), '/v1/requests');
  expect(await idOf(api, 'p-77')).toBe(proposer);
  expect((await linkOther('admin-b')).as(Linked)).toEqual({ state: 'proposed', personId: victim, mergedId: null });
  expect((await linkOther('admin-a')).slug).toBe('self-approval');
  expect((await api.ledger.prisma.person.findUniqueOrThrow({ where: { id: proposer } })).aliasOf).toBeNull();
});

test('a link that was proposed while the account was nobody’s makes no two people one', async () => {
  const api = await apiFixture();
  for (const sub of ['person', 'admin-a', 'admin-b']) await api.send(await tokenOf(api, sub, 'admin'), '/v1/requests');
  const person = await idOf(api, 'person');
  expect((await link(api, 'admin-a', person, 'later')).as(Linked).state).toBe('proposed');
  await api.send(await tokenOf(api, 'later'), '/v1/requests');
  const later = await idOf(api, 'later');
  // What is confirmed is what was proposed: now it is a merger, and two administrators know that it is.
  expect((await link(api, 'admin-b', person, 'later')).as(Linked).state).toBe('proposed');
  expect((await link(api, 'admin-a', person, 'later')).as(Linked)).toMatchObject({ state: 'linked', mergedId: later });
});

test('a newcomer with an address that was somebody else’s is linked as somebody new, and is nobody but themselves', async () => {
  const api = await apiFixture();
  await api.send(await tokenOf(api, 'before', 'security'), '/v1/requests');
  const newcomer = () =>
    api.provider.token({ sub: 'after', email: 'before@example.com', email_verified: true, groups: ['security'] });
  expect((await api.send(await newcomer(), '/v1/requests')).slug).toBe('account-not-linked');
  const { personId } = (await link(api, 'admin-a', 'new', 'after')).as(Linked);
  expect((await link(api, 'admin-a', 'new', 'after')).as(Linked).personId).toBe(personId);
  expect((await link(api, 'admin-b', personId, 'after')).as(Linked).state).toBe('linked');
  expect((await api.send(await newcomer(), '/v1/requests')).status).toBe(200);
  expect(personId).toMatch(personIdPattern);
  expect(await idOf(api, 'before')).not.toBe(personId);
  const found = (await api.send(await tokenOf(api, 'admin-a', 'admin'), '/v1/people?address=before@example.com')).as(
    People,
  );
  expect(found.items.map(({ id }) => id).toSorted()).toEqual([await idOf(api, 'before'), personId].toSorted());
});

test('people are listed for auditors and administrators alone, page by page, and bad input is told', async () => {
  const api = await apiFixture();
  expect((await api.as('requester', '/v1/people')).slug).toBe('forbidden');
  const seen: string[] = [];
  for (let cursor = ''; ; ) {
    const page = await api.as('auditor', `/v1/people?limit=4${cursor}`);
    const { items, nextCursor } = page.as(People.extend({ nextCursor: z.string().nullable() }));
    seen.push(...items.map(({ id }) => id));
    if (nextCursor === null) break;
    cursor = `&cursor=${nextCursor}`;
  }
  expect(seen).toEqual([...new Set(seen)].toSorted());
  expect(seen).toContain(emailOf('stranger'));
  for (const [path, status] of [
    ['/v1/people?cursor=AAAA', 400],
    ['/v1/people?address=nobody', 400],
    ['/v1/people/nobody', 400],
    ['/v1/people/nobody@example.com', 404],
  ] as const)
    expect((await api.as('auditor', path)).status).toBe(status);
  expect((await link(api, 'admin-a', 'nobody@example.com', 'x')).slug).toBe('not-found');
  const elsewhere = { provider: 'ci', subject: 'x', reason: 'a typing mistake' };
  const answer = await api.send(await tokenOf(api, 'admin-a', 'admin'), `/v1/people/${emailOf('owner')}/accounts`, {
    body: elsewhere,
  });
  expect(answer.slug).toBe('invalid-request');
});
