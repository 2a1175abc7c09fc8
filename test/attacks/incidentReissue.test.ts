import { beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { Id } from '../../api/representations/fields.ts';
import { RequestBody } from '../../api/representations/request.ts';
import { emailOf, type PersonName } from '../api/apiFixture.ts';
import { decide } from '../api/onboarded.ts';
import { type Attacked, attackedApi } from './incident.ts';

/**
 * Promise 12: what an incident ordered, only a responder undoes. A leaked credential is replaced, whatever the people who hold
 * it ask for, pause, cancel, roll back or let expire; until it is, that it is owed can be seen.
 */

let at: Attacked;
beforeAll(async () => {
  at = await attackedApi();
});

const insiders = ['requester', 'owner', 'admin'] as const satisfies readonly PersonName[];
const slugs = (answers: readonly { status: number; slug: string }[]) =>
  answers.map(({ status, slug }) => `${status} ${slug}`);

test('a waiting rotation does not swallow an incident’s re-issue: it ends as superseded, and whoever asked for it is told', async () => {
  const identityId = await at.identity();
  const waiting = (await at.rotate('requester', identityId)).as(RequestBody);
  expect(waiting.state).toBe('awaiting-approval');
  const reviewId = await at.incident(identityId);
  const reissued = await at.reissue(reviewId);
  expect(reissued).toMatchObject({ opened: true, created: true });
  const rotation = await at.openRotation(identityId);
  expect(rotation).toMatchObject({ trigger: 'incident', state: 'executing' });
  expect(await at.read(waiting.id)).toMatchObject({ state: 'cancelled', reason: 'superseded' });
  expect(await at.told(waiting.id)).toMatchObject([{ to: ['requester'], about: 'superseded' }]);
  expect((await at.command('requester', waiting.id, 'cancel')).slug).toBe('request-closed');
  await at.api.carryOut(rotation.id);
  expect(await at.credentials(identityId)).toBe('v1 retiring, v2 current');
});

test('neither requester nor owner nor administrator cancels or pauses an incident’s re-issue; a responder does', async () => {
  const identityId = await at.identity();
  await at.rotate('requester', identityId);
  const reviewId = await at.incident(identityId);
  await at.reissue(reviewId);
  const { id } = await at.openRotation(identityId);
  for (const verb of ['cancel', 'pause'] as const) {
    const answers = await Promise.all(insiders.map((person) => at.command(person, id, verb)));
    for (const [place, answer] of answers.entries())
      expect([verb, insiders[place], ...slugs([answer])]).toEqual([
        verb,
        insiders[place],
        insiders[place] === 'requester' ? '403 forbidden' : '403 responder-only',
      ]);
  }
  expect(await at.owed(identityId)).toMatchObject([{ reviewId, replaces: 1, requestId: id }]);
  expect((await at.command('responder-2', id, 'cancel')).as(RequestBody).state).toBe('cancelled');
  expect(await at.owed(identityId), 'undone by a responder').toEqual([]);
  await at.fallsDue(identityId);
  await at.lifecycle();
  await expect(at.openRotation(identityId), 'nor is it asked for again').rejects.toThrow();
});

test('after a re-issue nobody but a responder goes back to the suspected version, not even by a rotation of their own', async () => {
  const byIncident = await at.identity();
  await at.reissue(await at.incident(byIncident));
  const own = await at.identity();
  await at.incident(own);
  // Before Tenure opens its own: what this delivers is what the incident ordered, whatever its trigger says.
  const asked = (await at.rotate('owner', own)).as(RequestBody);
  await decide(at.api, 'security-1', asked.id);
  for (const identityId of [byIncident, own]) {
    const { id } = await at.openRotation(identityId);
    await at.api.carryOut(id);
    expect([await at.credentials(identityId), await at.owed(identityId)]).toEqual(['v1 retiring, v2 current', []]);
    for (const person of ['owner', 'admin'] as const)
      expect(slugs([await at.command(person, id, 'rollback')])).toEqual(['403 responder-only']);
    expect((await at.command('responder-1', id, 'rollback')).as(RequestBody).id).toBe(id);
    expect(await at.credentials(identityId)).toBe('v1 current, v2 retiring');
    // Forward again is no way back to what was suspected.
    expect((await at.command('owner', id, 'rollback')).status).toBe(200);
  }
});

test('before the promote is recorded nothing is delivered, and rolling back then is a responder’s too', async () => {
  const identityId = await at.identity();
  const reviewId = await at.incident(identityId);
  await at.reissue(reviewId);
  const { id } = await at.openRotation(identityId);
  await at.carryOutOne(id);
  expect(await at.credentials(identityId)).toBe('v1 retiring, v2 current');
  expect(await at.owed(identityId)).toMatchObject([{ reviewId }]);
  expect((await at.command('owner', id, 'rollback')).slug).toBe('responder-only');
  expect((await at.command('responder-1', id, 'rollback')).status).toBe(200);
  await at.api.carryOut(id);
  const order = await at.api.ledger.prisma.reissueOrder.findFirstOrThrow({ where: { identityId } });
  expect(order).toMatchObject({ deliveredAt: null, waivedBy: emailOf('responder-1') });
});

test.each([
  ['is denied by an approver', 'denied', async (id: string) => void (await decide(at.api, 'security-1', id, 'deny'))],
  [
    'is cancelled by a freeze',
    'cancelled',
    async (id: string, identityId: string) => {
      const body = { identityIds: [identityId], mode: 'cancel', reason: 'another incident' };
      const frozen = (await at.api.as('responder-1', '/v1/freezes', { body })).as(z.looseObject({ id: Id }));
      const nudged = await at.command('responder-1', id, 'pause');
      expect(nudged.status).toBe(200);
      const lift = { reason: 'over', override: true };
      expect((await at.api.as('responder-2', `/v1/freezes/${frozen.id}/lift`, { body: lift })).status).toBe(200);
    },
  ],
  [
    'is let expire',
    'expired',
    async (id: string) => {
      await at.api.ledger.prisma.request.update({ where: { id }, data: { createdAt: new Date(0) } });
      await decide(at.api, 'security-1', id);
      await at.command('responder-1', id, 'pause');
    },
  ],
])('a re-issue that %s is still owed and seen to be, and the lifecycle asks for it again', async (_, state, end) => {
  const identityId = await at.identity('strict');
  const reviewId = await at.incident(identityId);
  await at.reissue(reviewId);
  const first = await at.openRotation(identityId);
  await end(first.id, identityId);
  expect((await at.read(first.id)).state).toBe(state);
  expect(await at.owed(identityId)).toMatchObject([{ reviewId, requestId: first.id }]);
  await at.fallsDue(identityId);
  await at.lifecycle();
  const again = await at.openRotation(identityId);
  expect(again).toMatchObject({ trigger: 'incident', requester: 'system:review' });
  expect(again.id).not.toBe(first.id);
  await decide(at.api, 'security-2', again.id);
  await at.api.carryOut(again.id);
  expect(await at.owed(identityId)).toEqual([]);
});

test('while an order is owed nobody but a responder pauses what stands in its way, and it comes once that is over', async () => {
  const identityId = await at.identity();
  const own = (await at.rotate('owner', identityId)).as(RequestBody);
  await decide(at.api, 'security-1', own.id);
  await at.api.carryOut(own.id);
  expect(await at.credentials(identityId)).toBe('v1 retiring, v2 current');
  const reviewId = await at.incident(identityId);
  expect(await at.reissue(reviewId)).toMatchObject({
    opened: false,
    slug: 'request-running',
    runningRequestId: own.id,
  });
  expect((await at.command('owner', own.id, 'pause')).slug).toBe('responder-only');
  expect((await at.command('owner', own.id, 'rollback')).slug, 'to version 1, older than the suspected').toBe(
    'responder-only',
  );
  expect(await at.owed(identityId)).toMatchObject([{ reviewId, replaces: 2 }]);
});

test('a pause from before carries over to what supersedes, is seen to hold it, and a responder lifts it', async () => {
  const identityId = await at.identity();
  const waiting = (await at.rotate('requester', identityId)).as(RequestBody);
  await at.command('requester', waiting.id, 'pause');
  await at.reissue(await at.incident(identityId));
  const held = await at.openRotation(identityId);
  expect(held).toMatchObject({ state: 'held', heldBy: [{ kind: 'pause', by: emailOf('requester') }] });
  expect((await at.command('responder-1', held.id, 'resume', { all: true })).as(RequestBody).state).toBe('executing');
});

test('who holds the identity does not let it go from a freeze without the re-issue that a responder ordered for it', async () => {
  const identityId = await at.identity();
  const frozen = await at.api.as('responder-1', '/v1/freezes', { body: { identityIds: [identityId], reason: 'leak' } });
  const { id: freezeId } = frozen.as(z.looseObject({ id: Id }));
  const ordered = await at.api.as('responder-1', `/v1/freezes/${freezeId}/reviews`, {
    body: { reissue: true, reason: 'all of it' },
  });
  expect(ordered.status).toBe(202);
  await at.lifecycle();
  const { prisma } = at.api.ledger;
  const asked = await prisma.request.findFirstOrThrow({ where: { identityId, kind: 'review', finishedAt: null } });
  // The owner ends the responder's review, and asks for one that re-issues nothing.
  expect((await at.command('owner', asked.id, 'cancel')).status).toBe(200);
  const reviewId = await at.reviewed(identityId, { freezeId, reissue: false });
  expect(await at.owed(identityId)).toMatchObject([{ reviewId }]);
});

test('a re-issue carries whoever asked for the review, and for what it took the place of: none of them approves it', async () => {
  const identityId = await at.identity('strict');
  const { prisma } = at.api.ledger;
  await at.open(at.order(identityId, { principal: emailOf('security-2') }));
  const reviewId = await at.incident(identityId);
  await prisma.requester.create({ data: { requestId: reviewId, principal: emailOf('security-1') } });
  await at.reissue(reviewId);
  const rotation = await at.openRotation(identityId);
  expect(rotation.requesters).toEqual(
    expect.arrayContaining(['system:review', emailOf('owner'), emailOf('security-1'), emailOf('security-2')]),
  );
  for (const person of ['security-1', 'security-2'] as const)
    expect((await decide(at.api, person, rotation.id)).slug).toBe('self-approval');
});

test('access to Temporal makes no incident: only what the ledger owes supersedes, under the trigger that ordered it', async () => {
  const identityId = await at.identity();
  const waiting = (await at.rotate('requester', identityId)).as(RequestBody);
  const delivered = await at.identity();
  const done = await at.incident(delivered);
  await at.reissue(done);
  await at.api.carryOut((await at.openRotation(delivered)).id);
  const system = { principal: 'system:review', principalKind: 'system', trigger: 'incident' } as const;
  for (const [forged, slug] of [
    [{ ...system }, undefined],
    [{ ...system, reissues: done }, 'not-found'],
    [{ ...system, reissues: waiting.id }, 'not-found'],
    [{ ...system, reissues: done, identityId: delivered }, 'nothing-owed'],
    [{ ...system, principal: emailOf('requester'), reissues: done, identityId: delivered }, 'not-found'],
  ] as const) {
    const result = await at.open(at.order(identityId, forged));
    expect(result.opened ? undefined : result.slug).toBe(slug);
  }
  expect((await at.read(waiting.id)).state).toBe('awaiting-approval');
});

test('what an order says never changes, is settled once, and is never deleted', async () => {
  const { prisma } = at.api.ledger;
  const identityId = await at.identity();
  const reviewRequestId = await at.incident(identityId);
  const changed = (data: object) => prisma.reissueOrder.update({ where: { reviewRequestId }, data });
  await expect(changed({ highestVersion: 0 })).rejects.toThrow(/never changes/);
  await expect(changed({ deliveredAt: new Date(), deliveredVersion: 1 })).rejects.toThrow(/reissue_order_delivered/);
  await expect(prisma.$executeRaw`TRUNCATE "reissue_order"`).rejects.toThrow();
  await expect(prisma.reissueOrder.delete({ where: { reviewRequestId } })).rejects.toThrow(/never deleted/);
  await changed({ waivedAt: new Date(), waivedBy: 'x', waivedBecause: 'y' });
  await expect(changed({ waivedAt: null, waivedBy: null, waivedBecause: null })).rejects.toThrow(/settled once/);
});
