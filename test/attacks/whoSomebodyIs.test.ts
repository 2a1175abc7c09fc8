import { expect, test } from 'vitest';
import { z } from 'zod';
import { RequestBody } from '../../api/representations/request.ts';
import { personProviders } from '../../configuration/personProviders.ts';
import { personIdPattern } from '../../domain/ids.ts';
import { directory, type ListedPerson } from '../../ledger/directory.ts';
import { type ApiFixture, apiFixture, emailOf, onboarding } from '../api/apiFixture.ts';
import { asked, decide, RequestOnIdentity } from '../api/onboarded.ts';

/** A person is their accounts, whatever address those have today (promise 4). */

const verified = { email_verified: true };
const nowSeconds = () => Math.floor(Date.now() / 1000);

async function approve(api: ApiFixture, token: string, requestId: string) {
  const { revision, digest } = (await api.send(token, `/v1/requests/${requestId}`)).as(RequestBody);
  return api.send(token, `/v1/requests/${requestId}/decisions`, { body: { verdict: 'approve', revision, digest } });
}

/** The API process starts again with other people or providers in tenure.yaml. */
async function restarted(
  { ledger, configuration }: ApiFixture,
  people: readonly ListedPerson[],
  oidc = configuration.oidc,
): Promise<void> {
  await directory(ledger, people, personProviders({ oidc })).recordListed();
}

/** How many of the request's decisions `advance` counts now, by whether it would let it go on. */
async function stateNow(api: ApiFixture, requestId: string): Promise<string> {
  await api.carryOut(requestId);
  return (await api.as('auditor', `/v1/requests/${requestId}`)).as(RequestBody).state;
}

const two = { company: ', domains: [example.com]', partner: ', domains: [partner.example]' };

test('the same account with a new address may not approve what it asked for', async () => {
  const api = await apiFixture();
  const tokenWith = (email: string) =>
    api.provider.token({ sub: 'u-77', email, groups: ['requester', 'security'], ...verified });
  const body = { ...onboarding, name: 'mine' };
  const request = (await api.send(await tokenWith('u77@example.com'), '/v1/identities', { body })).as(
    RequestOnIdentity,
  );
  expect(request.requester).toMatch(personIdPattern);
  const answer = await approve(api, await tokenWith('another@example.com'), request.id);
  expect([answer.status, answer.slug]).toEqual([403, 'self-approval']);
});

test('one person is counted once in a quorum and once among denials, and owns what they own, by whatever address', async () => {
  const api = await apiFixture();
  const tokenWith = (email: string) => api.provider.token({ sub: 'u-78', email, groups: ['security'], ...verified });
  const request = await asked(api);
  const deny = async (email: string) => {
    const { revision, digest } = (await api.send(await tokenWith(email), `/v1/requests/${request.id}`)).as(RequestBody);
    const sent = { body: { verdict: 'deny', revision, digest } };
    return api.send(await tokenWith(email), `/v1/requests/${request.id}/decisions`, sent);
  };
  await api.send(await tokenWith('first@example.com'), '/v1/requests');
  const mine = await asked(api, { name: 'mine', owner: 'first@example.com' });
  expect(mine.review.ownerId).toMatch(personIdPattern);
  expect((await approve(api, await tokenWith('second@example.com'), mine.id)).slug).toBe('self-approval');
  expect((await deny('first@example.com')).status).toBe(200);
  expect(['already-decided', 'request-closed']).toContain((await deny('second@example.com')).slug);
});

test("a second provider signs nobody of the first in by writing their address, and nobody at all for the first one's domain", async () => {
  const api = await apiFixture(two);
  for (const name of ['security-1', 'admin', 'unheard-of'] as const) {
    const token = await api.partner.token({
      sub: name,
      email: emailOf(name),
      groups: ['admin', 'security'],
      ...verified,
    });
    const answer = await api.send(token, '/v1/requests');
    expect([answer.status, answer.slug]).toEqual([403, 'account-not-linked']);
    expect(answer.detail).toContain('tenure people link');
  }
});

test('a second provider of which tenure.yaml does not say for whom it speaks gives no new person and no power', async () => {
  const api = await apiFixture({ partner: '' });
  const { prisma } = api.ledger;
  const request = await asked(api).catch(() => undefined);
  // Nobody of a new installation signs in without "domains": not even by the first provider.
  expect(request).toBeUndefined();
  const token = (sub: string) =>
    api.partner.token({ sub, email: emailOf(sub), groups: ['admin', 'responder', 'security'] });
  expect((await api.send(await token('responder-1'), '/v1/requests')).slug).toBe('account-not-linked');

  // Somebody whom the previous release knew: not locked out, and not let in to more than stopping things.
  await prisma.person.updateMany({ data: { cameBefore: true } });
  const responder = await token('responder-1');
  const freeze = await api.send(responder, '/v1/freezes', {
    body: { integrations: ['payments'], reason: 'a leaked token', confirm: 'nothing' },
  });
  expect(freeze.status).toBe(201);
  const refused = [
    await api.send(responder, '/v1/identities', { body: onboarding }),
    await api.send(responder, '/v1/flows/onboarding/versions', { body: {} }),
    await api.send(responder, `/v1/freezes/${freeze.as(z.looseObject({ id: z.string() })).id}/lift`, { body: {} }),
  ];
  expect(refused.map(({ status, slug }) => [status, slug === 'forbidden' || slug === 'account-not-vouched'])).toEqual(
    refused.map(() => [403, true]),
  );
  // Its own groups give it nothing, and neither the roles of administrators and auditors.
  const admin = await token('admin');
  expect((await api.send(admin, '/v1/evidence')).slug).toBe('forbidden');
  expect(
    (await api.send(await token('stranger'), '/v1/freezes', { body: { integrations: ['x'], reason: 'mine' } })).slug,
  ).toBe('forbidden');
  expect((await prisma.personAccount.findMany()).map(({ isVouched }) => isVouched)).toEqual([false, false, false]);
  expect((await prisma.person.findUniqueOrThrow({ where: { id: emailOf('responder-1') } })).source).toBe('tenure.yaml');
});

test('a provider gives no group that tenure.yaml does not allow it, and so no role', async () => {
  const api = await apiFixture({ company: ', groups: {allow: [staff]}' });
  const token = await api.provider.token({
    email: emailOf('stranger'),
    groups: ['staff', 'admin', 'security'],
    ...verified,
  });
  expect((await api.send(token, '/v1/evidence')).slug).toBe('forbidden');
  const request = await asked(api);
  expect((await approve(api, token, request.id)).slug).toBe('not-eligible');
});

test('who is taken out of tenure.yaml, or out of a group of it, counts no more from the restart on, signed in or not', async () => {
  const api = await apiFixture();
  const people = api.configuration.people;
  const request = await asked(api);
  await api.as('security-2', '/v1/requests');
  (await decide(api, 'security-1', request.id)).as(RequestBody);
  await restarted(
    api,
    people.map((person) => (person.id === emailOf('security-1') ? { ...person, groups: [] } : person)),
  );
  expect(await stateNow(api, request.id)).toBe('awaiting-approval');
  // Out of the list altogether: the provider still knows them, in no group.
  await restarted(
    api,
    people.filter(({ id }) => id !== emailOf('security-2')),
  );
  expect((await decide(api, 'security-2', request.id)).slug).toBe('not-eligible');
});

test('what a provider said counts no more once tenure.yaml has it no longer, or allows the group no longer', async () => {
  const api = await apiFixture();
  const { people, oidc } = api.configuration;
  const token = await api.provider.token({ email: emailOf('stranger'), groups: ['security'], ...verified });
  for (const withdrawn of [
    oidc.filter(({ name }) => name !== 'company'),
    oidc.map((provider) => ({ ...provider, groups: { allow: ['staff'] } })),
  ]) {
    const request = await asked(api, { name: `of ${withdrawn.length}` });
    (await approve(api, token, request.id)).as(RequestBody);
    await restarted(api, people, withdrawn);
    expect(await stateNow(api, request.id)).toBe('awaiting-approval');
    await restarted(api, people);
    const { tokenIssuedAt } = await api.ledger.prisma.personAccount.findFirstOrThrow({
      where: { subject: emailOf('stranger') },
    });
    expect(tokenIssuedAt).not.toBeNull();
  }
});

test('active: false of tenure.yaml wins over every account and every address of a person', async () => {
  const api = await apiFixture();
  const tokenWith = (sub: string, email: string) => api.provider.token({ sub, email, ...verified });
  await api.send(await tokenWith('u-79', 'leaver@example.com'), '/v1/requests');
  await restarted(api, [
    ...api.configuration.people,
    { id: 'leaver@example.com', name: 'leaver', groups: [], active: false },
  ]);
  const answers = [
    await api.send(await tokenWith('u-79', 'leaver@example.com'), '/v1/requests'),
    await api.send(await tokenWith('u-79', 'new-name@example.com'), '/v1/requests'),
    await api.send(await tokenWith('u-80', 'leaver@example.com'), '/v1/requests'),
  ];
  expect(answers.map(({ slug }) => slug)).toEqual(answers.map(() => 'person-inactive'));
});

test('a token without groups gives its call none, and the decisions that were given before count on', async () => {
  const api = await apiFixture();
  const email = emailOf('stranger');
  const request = await asked(api);
  (await approve(api, await api.provider.token({ email, groups: ['security'], ...verified }), request.id)).as(
    RequestBody,
  );
  const absent = await api.provider.token({ email, iat: nowSeconds() + 1, ...verified });
  const other = await asked(api, { name: 'other' });
  expect((await approve(api, absent, other.id)).slug).toBe('not-eligible');
  expect(await stateNow(api, request.id)).toBe('completed');
});

test('of a provider that leaves an empty claim out, a token without it says that the person is in no group', async () => {
  const api = await apiFixture({ company: ', absentGroups: empty' });
  const email = emailOf('stranger');
  const request = await asked(api);
  (await approve(api, await api.provider.token({ email, groups: ['security'], ...verified }), request.id)).as(
    RequestBody,
  );
  await api.send(await api.provider.token({ email, iat: nowSeconds() + 1, ...verified }), '/v1/requests');
  expect(await stateNow(api, request.id)).toBe('awaiting-approval');
});

test('an older token never undoes a newer one, and is itself overruled by it', async () => {
  const api = await apiFixture();
  const email = emailOf('stranger');
  const older = await api.provider.token({ email, iat: nowSeconds() - 60, groups: ['security'], ...verified });
  await api.send(await api.provider.token({ email, groups: [], ...verified }), '/v1/requests');
  const request = await asked(api);
  expect((await approve(api, older, request.id)).slug).toBe('not-eligible');
  const { groups } = await api.ledger.prisma.personAccount.findFirstOrThrow({ where: { subject: email } });
  expect(groups).toEqual([]);
});

test('groups lapse when no token has said them for as long as tenure.yaml lets them count, and decisions with them', async () => {
  const api = await apiFixture({ company: ', groupsMaxAge: PT1H' });
  const email = emailOf('stranger');
  const request = await asked(api);
  const token = await api.provider.token({ email, groups: ['security'], ...verified });
  (await approve(api, token, request.id)).as(RequestBody);
  await api.ledger.prisma.personAccount.updateMany({ data: { groupsUntil: new Date(Date.now() - 1) } });
  expect(await stateNow(api, request.id)).toBe('awaiting-approval');
  const old = await api.provider.token({ email, iat: nowSeconds() - 7_200, groups: ['security'], ...verified });
  await api.ledger.prisma.personAccount.deleteMany();
  expect((await approve(api, old, request.id)).slug).toBe('not-eligible');
});

test('whoever gets an address that was somebody else’s inherits nothing and signs in as nobody', async () => {
  const api = await apiFixture();
  await api.send(await api.provider.token({ sub: 'before', email: 'shared@example.com', ...verified }), '/v1/requests');
  const answer = await api.send(
    await api.provider.token({ sub: 'after', email: 'shared@example.com', groups: ['security'], ...verified }),
    '/v1/requests',
  );
  expect([answer.slug, answer.detail.includes('tenure people link')]).toEqual(['account-not-linked', true]);
});

test('an address that somebody had once makes nobody them, by another provider either', async () => {
  const api = await apiFixture({ company: ', domains: [example.com]', partner: ', domains: [example.com]' });
  const signIn = async (of: ApiFixture['provider'], sub: string, email: string) =>
    api.send(await of.token({ sub, email, groups: [], ...verified }), '/v1/requests');
  for (const email of ['desk@example.com', 'ana.smith@example.com']) await signIn(api.provider, 'ana', email);
  // By now the desk is somebody else's, who has an account at the other provider only.
  const successor = await signIn(api.partner, 'bob', 'desk@example.com');
  expect([successor.slug, successor.detail.includes('tenure people link')]).toEqual(['account-not-linked', true]);
  // The address that she has today is hers there too.
  expect((await signIn(api.partner, 'ana-there', 'ana.smith@example.com')).status).toBe(200);
  const accounts = await api.ledger.prisma.personAccount.findMany({ where: { subject: { in: ['ana', 'ana-there'] } } });
  expect(new Set(accounts.map(({ personId }) => personId)).size).toBe(1);
});

test('an address of two people names neither, except where naming both only stops things', async () => {
  const api = await apiFixture();
  const signIn = async (sub: string, email: string) =>
    api.send(await api.provider.token({ sub, email, ...verified }), '/v1/requests');
  await signIn('one', 'one@example.com');
  await signIn('other', 'other@example.com');
  // The provider moves the address of one to the other.
  await signIn('other', 'one@example.com');
  const body = { ...onboarding, owner: 'one@example.com' };
  const ambiguous = await api.as('requester', '/v1/identities', { body });
  expect([ambiguous.status, ambiguous.slug]).toEqual([422, 'ambiguous-address']);
  const freeze = await api.as('responder-1', '/v1/freezes', {
    body: { owners: ['one@example.com'], reason: 'a leaked laptop', confirm: 'nothing' },
  });
  expect(freeze.status).toBe(201);
  const { ownerIds } = await api.ledger.prisma.freeze.findFirstOrThrow();
  expect(ownerIds.filter((id) => personIdPattern.test(id))).toHaveLength(2);
});

test('whoever was only named before they first signed in is the same person afterwards', async () => {
  const api = await apiFixture();
  const { identityId } = await asked(api, { name: 'mine' });
  // As a pipeline's run had named them: an address that nobody had yet.
  await api.ledger.prisma.requester.updateMany({ data: { onBehalfOf: 'newcomer@example.com' } });
  const token = await api.provider.token({
    sub: 'new',
    email: 'newcomer@example.com',
    groups: ['security'],
    ...verified,
  });
  const request = await api.ledger.prisma.request.findFirstOrThrow({ where: { identityId } });
  expect((await approve(api, token, request.id)).slug).toBe('self-approval');
});

test('evidence never holds the id of a person, in whatever field or text it stands', async () => {
  const api = await apiFixture();
  const token = await api.provider.token({ sub: 'u-81', email: 'u81@example.com', groups: ['requester'], ...verified });
  const body = { ...onboarding, name: 'mine', owner: emailOf('owner') };
  const { requester, id } = (await api.send(token, '/v1/identities', { body })).as(RequestBody);
  await api.send(token, `/v1/requests/${id}/cancel`, { body: { reason: `as ${requester}, I want it no more` } });
  const entries = await api.ledger.prisma.evidenceEntry.findMany({ select: { body: true, chain: true } });
  expect(
    entries.filter(({ body: written, chain }) => `${chain} ${written}`.match(/person:[a-z2-7]|u-?81/) !== null),
  ).toEqual([]);
  expect(entries.some(({ body: written }) => written.includes('person.account-bound'))).toBe(true);
});
