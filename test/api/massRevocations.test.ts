import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { FreezeBody } from '../../api/representations/freeze.ts';
import { IdentityBody } from '../../api/representations/identity.ts';
import {
  MassRevocationBody,
  MassRevocationDetail,
  RevokedCredentialBody,
} from '../../api/representations/massRevocation.ts';
import { RequestBody } from '../../api/representations/request.ts';
import { defaultPace, type RevocationPace } from '../../domain/massRevocation.ts';
import { verifyChains } from '../../ledger/evidenceVerification.ts';
import { stepMassRevocations } from '../../ledger/massRevocationSteps.ts';
import { recordRestore } from '../../ledger/restore.ts';
import { reviewFlow } from '../setup/reviews.ts';
import { type ApiFixture, apiFixture, emailOf, type PersonName } from './apiFixture.ts';
import { asked, decide, onboarded } from './onboarded.ts';

/** Mass revocations through the API, stepped by hand: who may, when, whom it takes, and what it tells. */

const reason = 'a compromised build host';
const List = z.object({ items: z.array(MassRevocationBody), nextCursor: z.string().nullable() });

async function frozen(api: ApiFixture, selector: object = { integrations: ['payments'] }): Promise<string> {
  const body = { ...selector, reason, confirm: 'everything' };
  return (await api.as('responder-1', '/v1/freezes', { body })).as(FreezeBody).id;
}

const revocationsOf = (freezeId: string) => `/v1/freezes/${freezeId}/revocations`;

function start(api: ApiFixture, freezeId: string, confirm: number | undefined = 100, key: string = randomUUID()) {
  const body = confirm === undefined ? { reason } : { reason, confirm };
  return api.as('responder-1', revocationsOf(freezeId), { body, key });
}

async function started(api: ApiFixture, freezeId: string): Promise<z.output<typeof MassRevocationBody>> {
  return (await start(api, freezeId)).as(MassRevocationBody);
}

async function read(api: ApiFixture, { freezeId, id }: { freezeId: string; id: string }) {
  return (await api.as('stranger', `${revocationsOf(freezeId)}/${id}`)).as(MassRevocationDetail);
}

const say = (api: ApiFixture, of: { freezeId: string; id: string }, verb: string, person: PersonName = 'responder-2') =>
  api.as(person, `${revocationsOf(of.freezeId)}/${of.id}/${verb}`, { body: { reason: `${verb}, says the lead` } });

const step = (api: ApiFixture, pace: RevocationPace = defaultPace) => stepMassRevocations(api.ledger, () => pace, fail);

function fail(error: unknown): never {
  throw error;
}

/** Ends every revocation that is open, as the workflows would. */
async function carryOutOpen(api: ApiFixture): Promise<void> {
  const open = await api.ledger.prisma.request.findMany({ where: { kind: 'revocation', finishedAt: null } });
  for (const { id } of open) await api.carryOut(id);
}

const stateOf = async (api: ApiFixture, identityId: string) =>
  (await api.as('owner', `/v1/identities/${identityId}`)).as(IdentityBody).state;

/** As if the subjects had been looked for some time ago. */
const gatherAgain = (api: ApiFixture) =>
  api.ledger.prisma.massRevocation.updateMany({ where: { closedAt: null }, data: { gatheredAt: new Date(0) } });

/** Whatever has begun counts as begun within this second, for as long as the test runs. */
const begunJustNow = (api: ApiFixture) =>
  api.ledger.prisma.massRevocationSubject.updateMany({
    where: { begunAt: { not: null } },
    data: { begunAt: new Date(Date.now() + 3_600_000) },
  });

test('it is accepted while Temporal is down, by a responder who confirms how many are meant, once for each key', async () => {
  const api = await apiFixture();
  for (const name of ['one', 'two']) await onboarded(api, { name });
  const freezeId = await frozen(api);
  api.gateway.mode = 'down';
  const unconfirmed = await start(api, freezeId, 1);
  expect([unconfirmed.status, unconfirmed.slug]).toEqual([409, 'confirmation-required']);
  expect(JSON.parse(unconfirmed.text)).toMatchObject({ subjects: 2 });
  const silent = await api.as('responder-1', revocationsOf(freezeId), { body: { reason } });
  expect(silent.slug).toBe('confirmation-required');

  const key = randomUUID();
  const first = await start(api, freezeId, 2, key);
  const body = first.as(MassRevocationBody);
  expect([first.status, first.headers.get('location')]).toEqual([202, `${revocationsOf(freezeId)}/${body.id}`]);
  expect(body).toMatchObject({
    state: 'running',
    startedBy: emailOf('responder-1'),
    total: { waiting: 2, revoked: 0 },
  });
  await onboardedLater(api);
  expect((await start(api, freezeId, 2, key)).as(MassRevocationBody).id).toBe(body.id);
  expect((await start(api, freezeId, 3, key)).slug).toBe('key-reused');

  const second = await start(api, freezeId);
  expect([second.status, second.slug]).toEqual([409, 'mass-revocation-running']);
  expect(JSON.parse(second.text)).toMatchObject({ massRevocationId: body.id });
  expect((await api.as('owner', revocationsOf(freezeId))).as(List).items.map(({ id }) => id)).toEqual([body.id]);
});

/** One more subject, which can only be asked for while Temporal answers. */
async function onboardedLater(api: ApiFixture): Promise<string> {
  api.gateway.mode = 'up';
  return (await asked(api, { name: 'later' })).identityId;
}

test('who is no responder is refused, and where there is no freeze in force there is nothing to revoke', async () => {
  const api = await apiFixture();
  const { identityId } = await onboarded(api);
  const freezeId = await frozen(api, { identityIds: [identityId] });
  for (const person of ['owner', 'requester', 'auditor', 'admin', 'stranger'] satisfies PersonName[])
    expect((await api.as(person, revocationsOf(freezeId), { body: { reason, confirm: 9 } })).slug).toBe('forbidden');
  expect((await api.send(await api.pipelineToken(), revocationsOf(freezeId), { body: { reason } })).slug).toBe(
    'forbidden',
  );
  const nowhere = 'a'.repeat(26);
  expect((await start(api, nowhere)).slug).toBe('not-found');
  expect((await api.as('owner', revocationsOf(nowhere))).slug).toBe('not-found');
  expect((await api.as('owner', `${revocationsOf(freezeId)}/${nowhere}`)).slug).toBe('not-found');
  expect((await say(api, { freezeId, id: nowhere }, 'pause')).slug).toBe('not-found');
  expect((await say(api, { freezeId, id: nowhere }, 'pause', 'owner')).slug).toBe('forbidden');

  await api.as('responder-2', `/v1/freezes/${freezeId}/lift`, { body: { reason, override: true } });
  const late = await start(api, freezeId);
  expect([late.status, late.slug]).toEqual([409, 'freeze-lifted']);
  expect(await stateOf(api, identityId)).toBe('active');
});

test('each issuer’s limits bound what is under way and what begins in a second, the most exposed first', async () => {
  const api = await apiFixture();
  const subjects: string[] = [];
  for (const name of ['one', 'two', 'three', 'four']) subjects.push((await onboarded(api, { name })).identityId);
  const { identityId: unissued } = await asked(api, { name: 'five' });
  const massRevocation = await started(api, await frozen(api));

  expect(await step(api, { concurrency: 2, perSecond: 100 })).toEqual({ open: 1, begun: 2 });
  expect(await step(api, { concurrency: 2, perSecond: 100 })).toEqual({ open: 1, begun: 0 });
  expect((await read(api, massRevocation)).total).toMatchObject({ waiting: 3, underWay: 2, revoked: 0 });
  await carryOutOpen(api);
  // Two have begun within the second: a limit of two leaves room for none, three for one.
  await begunJustNow(api);
  expect((await step(api, { concurrency: 100, perSecond: 2 })).begun).toBe(0);
  expect((await step(api, { concurrency: 100, perSecond: 3 })).begun).toBe(1);
  await begunJustNow(api);
  expect((await step(api, { concurrency: 100, perSecond: 4 })).begun).toBe(1);
  expect(await stateOf(api, unissued)).toBe('requested');
  await step(api, { concurrency: 100, perSecond: 100 });
  expect(await stateOf(api, unissued)).toBe('rejected');

  await carryOutOpen(api);
  await step(api);
  const closed = await read(api, massRevocation);
  expect(closed).toMatchObject({
    state: 'closed',
    total: { waiting: 0, underWay: 0, revoked: 5, stuck: 0 },
    report: {
      startedBy: emailOf('responder-1'),
      subjects: { revoked: 5, letGo: 0 },
      receipts: { tried: 4, absent: 0, unverifiable: 0, missing: 0 },
      resolvedByHand: { count: 0 },
      residual: { count: 0, worst: null },
    },
  });
  for (const identityId of subjects) expect(await stateOf(api, identityId)).toBe('revoked');
});

test('each revocation names the mass revocation, and its credentials are listed with their receipts, page by page', async () => {
  const api = await apiFixture();
  for (const name of ['one', 'two', 'three']) await onboarded(api, { name });
  const massRevocation = await started(api, await frozen(api));
  await step(api);
  const requests = await api.ledger.prisma.request.findMany({ where: { kind: 'revocation' } });
  expect(requests).toHaveLength(3);
  for (const { justification, trigger, requesterId } of requests) {
    expect(justification).toContain(massRevocation.id);
    expect([trigger, requesterId]).toEqual(['incident', emailOf('responder-1')]);
  }
  await carryOutOpen(api);
  await step(api);
  const Page = z.object({ items: z.array(RevokedCredentialBody), nextCursor: z.string().nullable() });
  const path = `${revocationsOf(massRevocation.freezeId)}/${massRevocation.id}/credentials`;
  const first = (await api.as('auditor', `${path}?limit=2`)).as(Page);
  const rest = (await api.as('auditor', `${path}?limit=2&cursor=${first.nextCursor}`)).as(Page);
  expect([first.items.length, rest.items.length, rest.nextCursor]).toEqual([2, 1, null]);
  const listed = [...first.items, ...rest.items];
  expect(new Set(listed.map(({ requestId }) => requestId))).toEqual(new Set(requests.map(({ id }) => id)));
  expect(listed.map(({ receipt }) => receipt?.method)).toEqual(['tried', 'tried', 'tried']);
  expect((await api.as('auditor', `${path}?cursor=odd`)).slug).toBe('invalid-request');
});

test('paused, nothing more begins and what has begun goes on; resumed, the rest follows', async () => {
  const api = await apiFixture();
  for (const name of ['one', 'two', 'three']) await onboarded(api, { name });
  const massRevocation = await started(api, await frozen(api));
  await step(api, { concurrency: 1, perSecond: 1 });
  for (const _ of ['first', 'again']) expect((await say(api, massRevocation, 'pause')).status).toBe(200);
  expect(await read(api, massRevocation)).toMatchObject({
    state: 'paused',
    pausedBy: emailOf('responder-2'),
    pauseReason: 'pause, says the lead',
  });
  expect((await step(api)).begun).toBe(0);
  await carryOutOpen(api);
  expect((await step(api)).begun).toBe(0);
  expect((await read(api, massRevocation)).total).toMatchObject({ waiting: 2, underWay: 0, revoked: 1 });
  for (const _ of ['first', 'again']) expect((await say(api, massRevocation, 'resume')).status).toBe(200);
  expect((await step(api)).begun).toBe(2);
  await carryOutOpen(api);
  await step(api);
  expect((await read(api, massRevocation)).state).toBe('closed');
  const after = await say(api, massRevocation, 'pause');
  expect([after.status, after.slug]).toEqual([409, 'mass-revocation-closed']);
  const kinds = (await api.ledger.prisma.evidenceEntry.findMany({ orderBy: { id: 'asc' } }))
    .filter(({ chain }) => chain === `freeze/${massRevocation.freezeId}`)
    .map(({ body }) => JSON.parse(body).kind);
  expect(kinds).toEqual([
    'freeze.opened',
    'mass-revocation.started',
    'mass-revocation.paused',
    'mass-revocation.resumed',
    'mass-revocation.closed',
  ]);
  expect(await verifyChains(api.ledger.prisma, api.ledger.evidence)).toMatchObject({ ok: true });
});

test('what was planned before a pause and not yet begun waits for the resumption', async () => {
  const api = await apiFixture();
  const { identityId } = await onboarded(api);
  const massRevocation = await started(api, await frozen(api));
  // As a worker leaves it that is killed between its plan and the first revocation.
  await api.ledger.prisma.massRevocationSubject.updateMany({ data: { state: 'begun', begunAt: new Date() } });
  await say(api, massRevocation, 'pause');
  expect((await step(api)).begun).toBe(0);
  expect(await stateOf(api, identityId)).toBe('active');
  expect((await read(api, massRevocation)).total).toMatchObject({ waiting: 1, underWay: 0 });
  await say(api, massRevocation, 'resume');
  await step(api, { concurrency: 1, perSecond: 100 });
  expect(await stateOf(api, identityId)).toBe('revoking');
});

test('a freeze is not lifted while it revokes; of a paused one, a lift lets go of whatever has not begun', async () => {
  const api = await apiFixture();
  for (const name of ['one', 'two', 'three']) await onboarded(api, { name });
  const massRevocation = await started(api, await frozen(api));
  const { freezeId } = massRevocation;
  await step(api, { concurrency: 1, perSecond: 1 });
  const lift = (body: object) => api.as('responder-2', `/v1/freezes/${freezeId}/lift`, { body: { reason, ...body } });
  const refused = await lift({ override: true });
  expect([refused.status, refused.slug]).toEqual([409, 'mass-revocation-running']);
  expect(JSON.parse(refused.text)).toMatchObject({ massRevocationId: massRevocation.id });

  await say(api, massRevocation, 'pause');
  expect((await lift({})).slug).toBe('exit-criteria-open');
  expect((await read(api, massRevocation)).total).toMatchObject({ waiting: 2, letGo: 0 });
  expect((await lift({ override: true })).status).toBe(200);
  const resumed = await say(api, massRevocation, 'resume');
  expect([resumed.status, resumed.slug]).toEqual([409, 'freeze-lifted']);
  expect((await step(api)).begun).toBe(0);
  await carryOutOpen(api);
  await step(api);
  const { state, report } = await read(api, massRevocation);
  expect([state, report?.subjects]).toEqual(['closed', { revoked: 1, letGo: 2 }]);
  expect(await api.ledger.prisma.identity.count({ where: { state: 'active' } })).toBe(2);
});

test('identities that match while it runs are revoked too, relabelled ones stay subjects, reviewed ones are let go', async () => {
  const api = await apiFixture({ moreFlows: [reviewFlow] });
  const { identityId: first } = await onboarded(api, { name: 'one' });
  const { identityId: relabelled } = await onboarded(api, { name: 'two' });
  const { identityId: reviewed } = await onboarded(api, { name: 'three' });
  const freezeId = await frozen(api, { owners: [emailOf('owner')] });
  const massRevocation = await started(api, freezeId);
  await say(api, massRevocation, 'pause');
  const review = async (identityId: string, change: object, attester: PersonName) => {
    const body = { justification: 'after the incident', ...change };
    const { id } = (await api.as('responder-1', `/v1/identities/${identityId}/reviews`, { body })).as(RequestBody);
    await decide(api, attester, id);
    await decide(api, 'security-1', id);
  };
  await review(reviewed, { freezeId }, 'owner');
  await review(relabelled, { newOwner: emailOf('stranger') }, 'stranger');
  const { identityId: late } = await asked(api, { name: 'four' });
  await gatherAgain(api);
  await step(api);
  expect((await read(api, massRevocation)).total).toMatchObject({ waiting: 4 });
  await say(api, massRevocation, 'resume');
  await step(api);
  expect(await Promise.all([first, relabelled, late, reviewed].map((id) => stateOf(api, id)))).toEqual([
    'revoking',
    'revoking',
    'rejected',
    'active',
  ]);
  await carryOutOpen(api);
  await step(api);
  expect((await read(api, massRevocation)).report?.subjects).toEqual({ revoked: 3, letGo: 1 });
});

test('who is being revoked already is joined, and a revocation that cannot be opened is listed with its reason until it can', async () => {
  const api = await apiFixture();
  const { identityId: joined } = await onboarded(api, { name: 'one' });
  const { identityId: refused } = await onboarded(api, { name: 'two' });
  const body = { justification: 'compromised' };
  const own = (await api.as('responder-2', `/v1/identities/${joined}/revocation`, { body })).as(RequestBody);
  const massRevocation = await started(api, await frozen(api));
  await step(api);
  const { prisma } = api.ledger;
  expect(await prisma.massRevocationSubject.findFirst({ where: { identityId: joined } })).toMatchObject({
    requestId: own.id,
  });

  const { identityId: third } = await onboardedUnfrozen(api);
  const other = await started(api, await frozen(api, { identityIds: [third] }));
  await prisma.publishedFlow.deleteMany({ where: { operation: 'revocation' } });
  for (let attempt = 1; attempt <= 3; attempt += 1) {
    await step(api);
    await prisma.massRevocationSubject.updateMany({ where: { requestId: null }, data: { nextAttemptAt: new Date(0) } });
  }
  const { total, stuck } = await read(api, other);
  expect(total).toMatchObject({ stuck: 1, underWay: 0 });
  expect(stuck).toMatchObject([{ identityId: third, requestId: null, error: expect.stringContaining('flow') }]);
  const { digest, name } = await prisma.flowVersion.findFirstOrThrow({ where: { operation: 'revocation' } });
  await prisma.publishedFlow.create({ data: { name, operation: 'revocation', digest } });
  await step(api);
  await carryOutOpen(api);
  await step(api);
  expect((await read(api, other)).state).toBe('closed');
  expect((await read(api, massRevocation)).state).toBe('closed');
  expect(await stateOf(api, refused)).toBe('revoked');
});

/** Of an integration that no freeze selects yet. */
const onboardedUnfrozen = (api: ApiFixture) => onboarded(api, { name: 'three', integration: 'mail' });

test('a restored ledger goes on with no mass revocation that it still knew, and carries out one that is asked for since', async () => {
  const api = await apiFixture();
  const { identityId } = await onboarded(api, { name: 'one' });
  const { identityId: other } = await onboarded(api, { name: 'two' });
  await started(api, await frozen(api, { identityIds: [identityId] }));
  await recordRestore(api.ledger, { size: 42, root: Buffer.alloc(32, 7) });
  expect((await step(api)).begun).toBe(0);
  await started(api, await frozen(api, { identityIds: [other] }));
  expect((await step(api)).begun).toBe(1);
  expect(await Promise.all([identityId, other].map((id) => stateOf(api, id)))).toEqual(['active', 'revoking']);
});
