import { randomUUID } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { RequestBody } from '../../api/representations/request.ts';
import { emailOf } from '../api/apiFixture.ts';
import { decide } from '../api/onboarded.ts';
import { type Attacked, attackedApi } from './incident.ts';

/**
 * What one request may do to another: a higher trigger takes the place of what only waits, nothing is lost with what a
 * requester cancels, and joining gives no say over what others asked for (promises 4 and 12).
 */

let at: Attacked;
beforeAll(async () => {
  at = await attackedApi();
});

const scheduled = { principal: 'system:lifecycle', principalKind: 'system', trigger: 'schedule' } as const;

test('the schedule joins a rotation that a requester waits with, and rotates as soon as that one is cancelled', async () => {
  const identityId = await at.identity();
  const waiting = (await at.rotate('requester', identityId)).as(RequestBody);
  await at.rotationFallsDue(identityId);
  await at.lifecycle();
  expect((await at.openRotation(identityId)).requesters).toContain('system:lifecycle');
  expect((await at.command('requester', waiting.id, 'cancel')).status).toBe(200);
  // Without the passing of its backoff.
  await at.lifecycle();
  const rotation = await at.openRotation(identityId);
  expect(rotation).toMatchObject({ trigger: 'schedule', state: 'executing' });
  await at.api.carryOut(rotation.id);
  expect(await at.credentials(identityId)).toBe('v1 retiring, v2 current');
});

test('the schedule rotates as soon as the rotation that it joined is denied, too', async () => {
  const identityId = await at.identity();
  const waiting = (await at.rotate('requester', identityId)).as(RequestBody);
  await at.rotationFallsDue(identityId);
  await at.lifecycle();
  await decide(at.api, 'security-1', waiting.id, 'deny');
  await at.lifecycle();
  expect(await at.openRotation(identityId)).toMatchObject({ trigger: 'schedule', state: 'executing' });
});

test('a rotation that the schedule opened and that was denied waits for its backoff: nobody is asked each minute', async () => {
  const identityId = await at.identity('strict');
  await at.rotationFallsDue(identityId);
  await at.lifecycle();
  const { id } = await at.openRotation(identityId);
  await decide(at.api, 'security-1', id, 'deny');
  await at.lifecycle();
  await expect(at.openRotation(identityId)).rejects.toThrow();
});

test('a person’s rotation supersedes a scheduled one that waits; its pauses and requesters come along, and a repeat is the same', async () => {
  const identityId = await at.identity('strict');
  const schedule = at.order(identityId, { ...scheduled, onBehalfOf: emailOf('security-2') });
  await at.open(schedule);
  const waiting = await at.openRotation(identityId);
  await at.command('owner', waiting.id, 'pause');
  const key = randomUUID();
  const asked = (await at.rotate('requester', identityId, key)).as(RequestBody);
  expect(asked).toMatchObject({ state: 'held', trigger: 'person', heldBy: [{ kind: 'pause', by: emailOf('owner') }] });
  expect(await at.read(waiting.id)).toMatchObject({ state: 'cancelled', reason: 'superseded' });
  expect((await at.command('owner', asked.id, 'resume')).as(RequestBody).state).toBe('awaiting-approval');
  expect((await decide(at.api, 'security-2', asked.id)).slug).toBe('self-approval');
  const repeated = (await at.rotate('requester', identityId, key)).as(RequestBody);
  expect(repeated.id).toBe(asked.id);
  // The superseded one, asked for again with its key, is the request that it was.
  expect(await at.open(schedule)).toMatchObject({ opened: true, requestId: waiting.id, created: false });
  expect((await at.openRotation(identityId)).id).toBe(asked.id);
});

test.each([
  ['a person', 'a person', {}],
  ['a person', 'a pipeline', { principal: 'pipeline:deploy', principalKind: 'pipeline', trigger: 'pipeline' }],
  ['a person', 'the schedule', scheduled],
  ['a person', 'a change of owner', { principal: 'system:review', principalKind: 'system', trigger: 'owner-change' }],
] as const)('what %s waits with is joined by %s, and not superseded', async (_one, _other, change) => {
  const identityId = await at.identity('strict');
  const waiting = (await at.rotate('owner', identityId)).as(RequestBody);
  expect(await at.open(at.order(identityId, change))).toMatchObject({ requestId: waiting.id, created: false });
});

test('what has minted is superseded by nothing, and neither is what has committed', async () => {
  const identityId = await at.identity();
  await at.open(at.order(identityId, scheduled));
  const { id } = await at.openRotation(identityId);
  const refused = { slug: 'request-running' };
  expect(await at.rotate('owner', identityId)).toMatchObject(refused);
  await at.api.carryOut(id);
  expect(await at.rotate('owner', identityId)).toMatchObject(refused);
  expect(await at.credentials(identityId)).toBe('v1 retiring, v2 current');
});

test('what would be denied at its first step takes nobody’s place', async () => {
  const identityId = await at.identity('strict');
  const { prisma } = at.api.ledger;
  const departing = emailOf('departing');
  await prisma.person.create({
    data: { id: departing, name: 'departing', groups: [], source: 'a test', active: false },
  });
  await prisma.identity.update({ where: { id: identityId }, data: { ownerId: departing } });
  await at.open(at.order(identityId, scheduled));
  const waiting = await at.openRotation(identityId);
  const key = randomUUID();
  const answer = await at.rotate('requester', identityId, key);
  expect([answer.status, answer.slug]).toEqual([409, 'request-running']);
  expect(answer.detail).toContain('denied at once');
  expect((await at.read(waiting.id)).state).toBe('awaiting-approval');
  await prisma.person.update({ where: { id: departing }, data: { active: true } });
  expect((await at.rotate('requester', identityId, key)).as(RequestBody).trigger, 'its key was not used up').toBe(
    'person',
  );
});

test.each(['cancel', 'pause', 'rollback'] as const)(
  'whoever joined a rotation may not %s what others asked for',
  async (verb) => {
    const identityId = await at.identity();
    const asked = (await at.rotate('owner', identityId)).as(RequestBody);
    expect((await at.rotate('requester', identityId)).as(RequestBody)).toMatchObject({ id: asked.id });
    await decide(at.api, 'security-1', asked.id);
    await at.api.carryOut(asked.id);
    expect((await at.command('requester', asked.id, verb)).slug).toBe('forbidden');
    expect((await at.command('owner', asked.id, verb)).status).toBe(verb === 'cancel' ? 409 : 200);
  },
);

test('whoever joined a revocation may not cancel it', async () => {
  const identityId = await at.identity();
  const path = `/v1/identities/${identityId}/revocation`;
  const asked = (await at.api.as('owner', path, { body: { justification: 'not needed' } })).as(RequestBody);
  const joined = await at.open({ ...at.order(identityId, { kind: 'revocation' }), kind: 'revocation' });
  expect(joined).toMatchObject({ requestId: asked.id, created: false });
  expect((await at.command('requester', asked.id, 'cancel')).slug).toBe('forbidden');
});

test('a pipeline that joins for one person after another has none of them approve', async () => {
  const identityId = await at.identity('strict');
  const pipeline = { principal: 'pipeline:deploy', principalKind: 'pipeline', trigger: 'pipeline' } as const;
  for (const person of ['security-1', 'security-2'] as const)
    await at.open(at.order(identityId, { ...pipeline, onBehalfOf: emailOf(person) }));
  const { id } = await at.openRotation(identityId);
  for (const person of ['security-1', 'security-2'] as const)
    expect((await decide(at.api, person, id)).slug).toBe('self-approval');
  expect((await at.read(id)).state).toBe('awaiting-approval');
});
