import { expect, test } from 'vitest';
import { z } from 'zod';
import { RequestBody } from '../../api/representations/request.ts';
import { tellSuppressed } from '../../ledger/refusals.ts';
import { type ApiFixture, apiFixture } from '../api/apiFixture.ts';
import { grantedAgent } from '../api/grantedAgent.ts';
import { asked, onboarded } from '../api/onboarded.ts';

/** Whoever is refused cannot fill the log with it: the first is told at once, the rest as a number. */

const Entry = z.object({
  kind: z.string(),
  actor: z.string(),
  data: z.object({ reason: z.string().optional(), suppressed: z.int().optional(), event: z.string().optional() }),
});

async function refusalsIn({ ledger }: ApiFixture, chain: string) {
  const rows = await ledger.prisma.evidenceEntry.findMany({ where: { chain }, orderBy: { position: 'asc' } });
  return rows.map(({ body }) => Entry.parse(JSON.parse(body))).filter(({ kind }) => kind.endsWith('refused'));
}

/** What was counted so far is now of a minute that is over. */
async function minuteIsOver({ ledger }: ApiFixture): Promise<void> {
  await ledger.prisma.$executeRaw`UPDATE "refusal" SET "minute" = "minute" - 1`;
}

/** The entries may be one more than meant where the clock turns to the next minute in between; what they tell is the same. */
async function expectTold(api: ApiFixture, chain: string, { refused, reason }: { refused: number; reason: string }) {
  const atOnce = await refusalsIn(api, chain);
  expect(atOnce.length).toBeGreaterThanOrEqual(1);
  expect(atOnce.length).toBeLessThanOrEqual(2);
  await minuteIsOver(api);
  for (const _again of [1, 2]) expect(await tellSuppressed(api.ledger)).toBe(false);
  const told = await refusalsIn(api, chain);
  expect(told.length).toBeLessThanOrEqual(atOnce.length + 1);
  const counted = told.reduce((sum, { data }) => sum + (data.suppressed ?? 0), 0);
  expect(atOnce.length + counted, 'every refusal is told, as an entry or in a number').toBe(refused);
  expect(new Set(told.map(({ data }) => data.reason))).toEqual(new Set([reason]));
  expect(new Set(told.map(({ actor }) => actor)).size).toBe(1);
  expect(await api.ledger.prisma.refusal.count()).toBe(0);
}

test('300 refused decisions by one person leave one entry and their number', async () => {
  const api = await apiFixture();
  const { id, revision, digest } = await asked(api);
  const body = { verdict: 'approve', revision, digest };
  const decide = () => api.as('stranger', `/v1/requests/${id}/decisions`, { body });
  for (let round = 0; round < 10; round += 1) {
    const slugs = (await Promise.all(Array.from({ length: 30 }, decide))).map(({ slug }) => slug);
    expect(new Set(slugs)).toEqual(new Set(['not-eligible']));
  }
  await expectTold(api, `request/${id}`, { refused: 300, reason: 'not-eligible' });
});

test('who goes on in the next minute is told of with how many were left out before', async () => {
  const api = await apiFixture();
  const { id, revision, digest } = await asked(api);
  const decide = () =>
    api.as('stranger', `/v1/requests/${id}/decisions`, { body: { verdict: 'deny', revision, digest } });
  for (let each = 0; each < 5; each += 1) await decide();
  await minuteIsOver(api);
  await decide();
  const told = await refusalsIn(api, `request/${id}`);
  expect(told.length + told.reduce((sum, { data }) => sum + (data.suppressed ?? 0), 0)).toBe(6);
  expect(told.at(-1)?.data.event, 'it tells of a refusal itself, too').toMatch(/^decision:/);
});

test('other people, requests and reasons are told of by themselves', async () => {
  const api = await apiFixture();
  const { id, revision, digest } = await asked(api);
  const decide = (person: 'stranger' | 'requester' | 'security-1', changes: object = {}) =>
    api.as(person, `/v1/requests/${id}/decisions`, { body: { verdict: 'approve', revision, digest, ...changes } });
  await decide('stranger');
  await decide('requester');
  await decide('security-1', { revision: revision + 1 });
  await decide('security-1', { digest: '0'.repeat(64) });
  expect((await refusalsIn(api, `request/${id}`)).map(({ data }) => data.reason)).toEqual([
    'not-eligible',
    'self-approval',
    'revision-changed',
    'digest-mismatch',
  ]);
});

test('decisions on what is not there never reach the workflow', async () => {
  const api = await apiFixture();
  const { id, revision } = await asked(api);
  const body = { verdict: 'approve', revision, digest: '0'.repeat(64) };
  for (let each = 0; each < 20; each += 1)
    expect((await api.as('security-1', `/v1/requests/${id}/decisions`, { body })).slug).toBe('digest-mismatch');
  expect(await api.ledger.prisma.requestEvent.count({ where: { requestId: id, kind: 'decision' } })).toBe(0);
  await expectTold(api, `request/${id}`, { refused: 20, reason: 'digest-mismatch' });
});

test('refused commands under fresh keys leave one entry and their number', async () => {
  const api = await apiFixture();
  const { requestId } = await onboarded(api);
  const pause = () => api.as('requester', `/v1/requests/${requestId}/pause`, { body: { reason: 'again' } });
  for (let each = 0; each < 20; each += 1) expect((await pause()).slug).toBe('request-closed');
  await expectTold(api, `request/${requestId}`, { refused: 20, reason: 'request-closed' });
  expect((await api.as('owner', `/v1/requests/${requestId}`)).as(RequestBody).state).toBe('completed');
});

test('assertions in the name of an agent that are refused leave one entry and their number', async () => {
  const agent = await grantedAgent();
  const [head, claims] = (await agent.asAgent()).split('.');
  const forged = `${head}.${claims}.${Buffer.alloc(64, 1).toString('base64url')}`;
  for (let each = 0; each < 20; each += 1)
    expect((await agent.api.send(forged, '/v1/step-ups', { body: {} })).status).toBe(401);
  const chain = `identity/${agent.identityId}`;
  await expectTold(agent.api, chain, { refused: 20, reason: 'bad-signature' });
});
