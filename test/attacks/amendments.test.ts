import { beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { type ApiFixture, apiFixture, emailOf, onboarding } from '../api/apiFixture.ts';
import { asked, decide, RequestOnIdentity } from '../api/onboarded.ts';

/**
 * Promise 5: an amendment is no way around what an opening meets. Whatever an opening with that content is refused for, the
 * amendment is; and where the opening would have run under another flow, it is refused too.
 */

/** Readers wait an hour, and nobody is asked; security's own wait too, and so does what ends within two days. */
const lenient = (name: string, where: string) => `apiVersion: tenure/v1
kind: Flow
metadata: {name: ${name}, owner: security, description: "An hour to think; nobody is asked."}
on: onboarding
subject: {where: '${where}'}
stages:
  - {id: think, wait: {for: PT1H}}
  - {id: issue, effect: issue}
tests: [{name: it waits, given: {subject: {name: quiet-tests}}, expect: {outcome: waiting}}]
`;

const Timeline = z.object({ items: z.array(z.looseObject({ kind: z.string() })) });

let api: ApiFixture;

beforeAll(async () => {
  api = await apiFixture({
    lives: 'file',
    moreFlows: [
      lenient('readers', 'subject.environment == "reading" && subject.scopes.all(s, s == "read")'),
      lenient('trusted-owners', 'subject.environment == "owned" && owner.groups.exists(g, g == "security")'),
      lenient(
        'short-lived',
        'subject.environment == "brief" && timestamp(subject.expiresAt) - timestamp(now) < duration("48h")',
      ),
      lenient('unread', 'subject.environment == "unread" && subject.consumers.size() == 0'),
      lenient('reads-a', 'subject.environment == "clashing" && subject.purpose == "clash"'),
      lenient('reads-b', 'subject.environment == "clashing" && subject.purpose != "quiet"'),
    ],
  });
  await api.ledger.prisma.person.update({ where: { id: emailOf('auditor') }, data: { active: false } });
});

let number = 0;
const named = () => ({ name: `bot-${number++}` });
const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString();
const amend = (id: string, change: object) =>
  api.as('requester', `/v1/requests/${id}/amendments`, { body: { reason: 'a second thought', ...change } });

test.each([
  ['an expiry in the year 9999', { expiresAt: '9999-01-01T00:00:00Z' }],
  ['an expiry in the past', { expiresAt: '2020-01-01T00:00:00Z' }],
  ['a pipeline that is not declared', { consumers: ['pipeline:deploy', 'pipeline:elsewhere'] }],
  ['the signer of grants as a reader', { consumers: ['system:grant-signer'] }],
  ['a scope that the issuer does not offer', { scopes: ['superuser'] }],
  ['an owner whom nobody knows', { owner: emailOf('nobody') }],
  ['an owner who has left', { owner: emailOf('auditor') }],
])(
  '%s is refused of an amendment as it is of an opening, with the same word, and nothing changes',
  async (_, change) => {
    const before = await asked(api, named());
    const opening = await api.as('requester', '/v1/identities', { body: { ...onboarding, ...named(), ...change } });
    const amendment = await amend(before.id, change);
    expect([amendment.status, amendment.slug]).toEqual([opening.status, opening.slug]);
    const after = (await api.as('requester', `/v1/requests/${before.id}`)).as(RequestOnIdentity);
    expect([after.revision, after.review]).toEqual([before.revision, before.review]);
  },
);

test('an amendment that leaves the owner alone is refused once that owner has left, as an opening would be', async () => {
  const { prisma } = api.ledger;
  const id = emailOf('leaving');
  await prisma.person.create({ data: { id, name: 'leaving', groups: [], source: 'a test' } });
  const request = await asked(api, { ...named(), owner: id });
  await prisma.person.update({ where: { id }, data: { active: false } });
  expect((await amend(request.id, { purpose: 'another' })).slug).toBe('owner-not-valid');
});

test.each([
  ['scopes', 'reading', { scopes: ['read'] }, { scopes: ['read', 'write'] }],
  ['the owner', 'owned', { owner: emailOf('security-2') }, { owner: emailOf('owner') }],
  ['the expiry, by the clock', 'brief', { expiresAt: inDays(1) }, { expiresAt: inDays(20) }],
  ['the readers', 'unread', { consumers: [] }, { consumers: ['pipeline:deploy'] }],
])(
  'a flow that is selected by %s is not kept by amending that away: the request must be asked anew',
  async (_, environment, first, then) => {
    const request = await asked(api, { ...named(), environment, ...first });
    expect(request.stage).toBe('think');
    const answer = await amend(request.id, then);
    expect([answer.status, answer.slug]).toEqual([409, 'flow-changed']);
    const after = (await api.as('requester', `/v1/requests/${request.id}`)).as(RequestOnIdentity);
    expect([after.revision, after.review.subject, after.review.ownerId]).toEqual([
      request.revision,
      request.review.subject,
      request.review.ownerId,
    ]);
    const timeline = await api.as('security-1', `/v1/identities/${request.identityId}/timeline`);
    expect(timeline.as(Timeline).items.at(-1)).toMatchObject({
      kind: 'request.command-refused',
      requestId: request.id,
    });
    // And back under the lenient flow it does not come by amending either, once it runs under the strict one.
    const strict = await asked(api, { ...named(), environment, ...first, ...then });
    expect(strict.stage).toBe('security');
    expect((await amend(strict.id, first)).slug).toBe('flow-changed');
  },
);

test('an amendment is refused where no flow, or more than one, would be found for an opening', async () => {
  const request = await asked(api, { ...named(), environment: 'clashing', purpose: 'one of them' });
  expect((await amend(request.id, { purpose: 'clash' })).slug).toBe('ambiguous-flow');
});

test('an amendment is refused once another version of its flow is published, while the request goes on as it is', async () => {
  const { prisma } = api.ledger;
  const request = await asked(api, named());
  const name = request.flow.name;
  const other = await prisma.publishedFlow.findFirstOrThrow({ where: { name: 'readers' } });
  // As a publication would, for as long as it takes to ask: the request's own version rules no more.
  await prisma.publishedFlow.update({ where: { name }, data: { digest: other.digest } });
  const amended = await amend(request.id, { purpose: 'another' });
  await prisma.publishedFlow.update({ where: { name }, data: { digest: request.flow.digest } });
  expect(amended.slug).not.toBe(undefined);
  expect(['flow-changed', 'no-flow']).toContain(amended.slug);
  expect((await decide(api, 'security-1', request.id)).as(RequestOnIdentity).state).toBe('executing');
});

test('whatever is amended into whatever, a request runs under the flow that an opening with that content would have', async () => {
  const contents = [
    { scopes: ['read'], purpose: 'quiet' },
    { scopes: ['read', 'write'], purpose: 'quiet' },
    { scopes: ['write'], purpose: 'loud' },
    { scopes: ['read'], purpose: 'loud', owner: emailOf('security-2') },
  ];
  for (const environment of ['reading', 'owned', 'clashing'])
    for (const from of contents)
      for (const to of contents.filter((content) => content !== from)) {
        const request = await asked(api, { ...named(), environment, ...from });
        const opening = await asked(api, { ...named(), environment, ...to });
        const amended = await amend(request.id, { owner: emailOf('owner'), ...to });
        const isSame = request.flow.digest === opening.flow.digest;
        expect([environment, from, to, amended.status]).toEqual([environment, from, to, isSame ? 200 : 409]);
      }
});

test('an amendment that is taken has every stage asked again, with nothing of what was decided before', async () => {
  const request = await asked(api, {
    ...named(),
    environment: 'owned',
    owner: emailOf('security-2'),
    scopes: ['read'],
  });
  const amended = (await amend(request.id, { scopes: ['write'] })).as(RequestOnIdentity);
  expect([amended.revision, amended.stage, amended.flow]).toEqual([2, 'think', request.flow]);
});
