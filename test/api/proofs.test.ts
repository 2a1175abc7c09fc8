import { randomUUID } from 'node:crypto';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { RequestBody } from '../../api/representations/request.ts';
import { isSignedBy } from '../../domain/decisionSignature.ts';
import { recordedRequests } from '../../ledger/queries/recordedRequests.ts';
import { type ApiFixture, apiFixture, emailOf, type PersonName } from './apiFixture.ts';
import { asked } from './onboarded.ts';

/** A connector's owner proves what they want, then security agrees. */
const flow = `apiVersion: tenure/v1
kind: Flow
metadata: {name: onboarding-connector, owner: security, description: The owner proves what they want.}
on: onboarding
subject: {kind: connector}
risk:
  weights:
    - {when: 'subject.environment == "production"', add: 30, because: production}
    - {when: 'subject.scopes.exists(s, s == "write")', add: 40, because: it can write}
stages:
  - {id: confirm, stepUp: {method: session, by: owner, maxAge: PT5M}}
  - id: security
    approval:
      require: [{from: 'group:security', count: 1}]
      separation: [requester, owner]
      timeout: {after: P1D, result: deny}
  - {id: issue, effect: issue}
`;

let api: ApiFixture;
beforeAll(async () => {
  api = await apiFixture({ lives: 'file', moreFlows: [flow] });
});
let count = 0;
let request: Awaited<ReturnType<typeof asked>>;
beforeEach(async () => {
  count += 1;
  request = await asked(api, { kind: 'connector', name: `connector-${count}` });
});

const minutes = 60;
/** A token of somebody who signed in so many seconds ago. */
const signedIn = (person: PersonName, secondsAgo: number): Promise<string> =>
  api.provider.token({ email: emailOf(person), name: person, auth_time: Math.floor(Date.now() / 1000) - secondsAgo });

async function prove(
  token: string,
  changes: object = {},
  { id, key = randomUUID() }: { id?: string; key?: string } = {},
) {
  const { revision, digest, stage } = (await api.send(token, `/v1/requests/${request.id}`)).as(RequestBody);
  const body = { revision, digest, stage, ...changes };
  return api.send(token, `/v1/requests/${id ?? request.id}/proofs`, { body, key });
}

const Entries = z.object({
  items: z.array(z.looseObject({ kind: z.string(), data: z.record(z.string(), z.unknown()) })),
});
/** Evidence of the request, newest last. */
async function evidence(identityId = request.identityId) {
  return (await api.as('auditor', `/v1/identities/${identityId}/timeline`)).as(Entries).items;
}

async function nothingCounts(): Promise<void> {
  expect(await api.ledger.prisma.decision.count({ where: { requestId: request.id } })).toBe(0);
  expect((await api.as('owner', `/v1/requests/${request.id}`)).as(RequestBody).state).toBe('awaiting-proof');
}

test('the owner proves it by a fresh sign-in: signed, in evidence with its instant, and the request goes on', async () => {
  const answer = (await prove(await signedIn('owner', 10), { comment: 'for the quarter end' })).as(RequestBody);
  expect(answer).toMatchObject({ state: 'awaiting-approval', stage: 'security' });
  expect(answer.decisions).toMatchObject([
    { stage: 'confirm', approver: emailOf('owner'), verdict: 'confirm', authenticatedAt: expect.any(String) },
  ]);
  const stored = await api.ledger.prisma.decision.findFirstOrThrow({ where: { requestId: request.id } });
  const { withdrawnAt: _none, version, risk: _shown, decidedAt, authenticatedAt, ...rest } = stored;
  expect(version).toBe(2);
  const signed = { ...rest, version: 2, verdict: 'confirm', decidedAt: decidedAt.toISOString() } as const;
  const instant = authenticatedAt?.toISOString();
  const publicKey = api.ledger.decisionKeys.get(stored.keyId) ?? expect.fail(`no key ${stored.keyId}`);
  const isGenuine = (fields: object) => isSignedBy({ ...signed, ...fields }, publicKey, api.ledger.evidence.personKey);
  expect([isGenuine({ authenticatedAt: instant }), isGenuine({})]).toEqual([true, false]);
  expect((await evidence()).map(({ kind }) => kind)).toContain('proof.recorded');
  expect(await api.ledger.prisma.credential.count({ where: { identityId: request.identityId } })).toBe(0);
});

test('a sign-in that is too old is challenged by RFC 9470, leaves its evidence, and the same call goes through afresh', async () => {
  const key = randomUUID();
  const stale = await prove(await signedIn('owner', 6 * minutes), {}, { key });
  expect([stale.status, stale.slug]).toEqual([401, 'insufficient-user-authentication']);
  expect(stale.headers.get('www-authenticate')).toBe('Bearer error="insufficient_user_authentication", max_age="300"');
  expect((await evidence()).at(-1)).toMatchObject({
    kind: 'proof.refused',
    data: { reason: 'insufficient-user-authentication' },
  });
  await nothingCounts();
  expect((await prove(await signedIn('owner', 1), {}, { key })).status).toBe(200);
});

test('a token that does not say when its bearer signed in proves nothing, nor does one that lies ahead', async () => {
  const tokens = [
    await api.tokenOf('owner'),
    await signedIn('owner', -1 * minutes),
    ...(await Promise.all(
      ['yesterday', 0, -5, 1.5, null].map((auth_time) =>
        api.provider.token({ email: emailOf('owner'), name: 'owner', auth_time }),
      ),
    )),
  ];
  for (const token of tokens) expect((await prove(token)).slug).toBe('insufficient-user-authentication');
  await nothingCounts();
});

test.each<[PersonName]>([['requester'], ['security-1'], ['admin'], ['stranger']])(
  'however fresh the sign-in, %s does not prove for the owner, and evidence keeps the attempt',
  async (person) => {
    const answer = await prove(await signedIn(person, 1));
    expect([answer.status, answer.slug]).toEqual([403, 'not-eligible']);
    expect((await evidence()).at(-1)).toMatchObject({ kind: 'proof.refused', data: { reason: 'not-eligible' } });
    await nothingCounts();
  },
);

test('what was seen of another request, revision or stage proves nothing here', async () => {
  const fresh = await signedIn('owner', 1);
  const other = await asked(api, { kind: 'connector', name: `other-${count}` });
  expect((await prove(fresh, { digest: other.digest })).slug).toBe('digest-mismatch');
  expect((await prove(fresh, { revision: 2 })).slug).toBe('revision-changed');
  expect((await prove(fresh, { stage: 'security' })).slug).toBe('not-awaiting-proof');
  const before = (await api.as('owner', `/v1/requests/${request.id}`)).as(RequestBody);
  await api.as('requester', `/v1/requests/${request.id}/amendments`, { body: { scopes: ['write'], reason: 'writes' } });
  expect((await prove(fresh, { digest: before.digest })).slug).toBe('digest-mismatch');
  const refusals = (await evidence()).filter(({ kind }) => kind === 'proof.refused');
  expect(new Set(refusals.map(({ data }) => data['reason']))).toEqual(
    new Set(['digest-mismatch', 'revision-changed', 'not-awaiting-proof']),
  );
  await nothingCounts();
});

test('a key stands for one proof of one request: it is answered again, and refused for another', async () => {
  const [fresh, key] = [await signedIn('owner', 1), randomUUID()];
  const { revision, digest } = request;
  const call = { body: { revision, digest, stage: 'confirm' }, key };
  const send = (path: string) => api.send(fresh, path, call);
  expect((await send(`/v1/requests/${request.id}/proofs`)).status).toBe(200);
  // Also long after, by a sign-in that has grown old: the act was carried out once.
  const old = await signedIn('owner', 60 * minutes);
  expect((await api.send(old, `/v1/requests/${request.id}/proofs`, call)).status).toBe(200);
  const other = await asked(api, { kind: 'connector', name: `other-${count}` });
  expect((await send(`/v1/requests/${other.id}/proofs`)).slug).toBe('key-reused');
  expect(await api.ledger.prisma.decision.count({ where: { requestId: { in: [request.id, other.id] } } })).toBe(1);
});

test('a decision is no proof and a proof no decision, wherever they are sent', async () => {
  const fresh = await signedIn('owner', 1);
  const { revision, digest, id } = request;
  const approved = await api.send(fresh, `/v1/requests/${id}/decisions`, {
    body: { verdict: 'approve', revision, digest },
  });
  expect(approved.slug).toBe('not-awaiting-approval');
  const confirmed = await api.send(fresh, `/v1/requests/${id}/decisions`, {
    body: { verdict: 'confirm', revision, digest },
  });
  expect(confirmed.slug).toBe('invalid-request');
  await prove(fresh);
  const late = await prove(await signedIn('security-1', 1));
  expect(late.slug).toBe('not-awaiting-proof');
});

test('while the request is paused, the proof can be taken back, and is asked for again', async () => {
  const fresh = await signedIn('owner', 1);
  await api.as('responder-1', `/v1/requests/${request.id}/pause`, { body: { reason: 'a look first' } });
  expect((await prove(fresh)).as(RequestBody).state).toBe('held');
  const { revision, digest } = request;
  const withdrawal = await api.send(fresh, `/v1/requests/${request.id}/decisions`, {
    body: { verdict: 'withdraw', revision, digest },
  });
  expect(withdrawal.status).toBe(200);
  expect((await evidence()).map(({ kind }) => kind)).toContain('proof.withdrawn');
  await api.as('responder-1', `/v1/requests/${request.id}/resume`, { body: { reason: 'seen' } });
  const shown = (await api.as('owner', `/v1/requests/${request.id}`)).as(RequestBody);
  expect(shown).toMatchObject({ state: 'awaiting-proof', decisions: [{ withdrawnAt: expect.any(String) }] });
});

test('a request tells each person whether they may prove, by what sign-in, and waits for the one who is asked', async () => {
  const standing = async (token: string) =>
    (await api.send(token, `/v1/requests/${request.id}`)).as(RequestBody).forMe.proof;
  expect(await standing(await signedIn('owner', 1))).toEqual({
    may: true,
    because: null,
    detail: null,
    maxAgeSeconds: 300,
  });
  expect(await standing(await signedIn('owner', 6 * minutes))).toMatchObject({
    may: false,
    because: 'insufficient-user-authentication',
    maxAgeSeconds: 300,
  });
  expect(await standing(await signedIn('requester', 1))).toMatchObject({ may: false, because: 'not-eligible' });
  const Page = z.object({ items: z.array(RequestBody) });
  const awaiting = async (person: PersonName) =>
    (await api.as(person, '/v1/requests?awaiting=me&limit=200')).as(Page).items.map(({ id }) => id);
  // However old the sign-in: who is asked is told, and then signs in.
  expect(await awaiting('owner')).toContain(request.id);
  expect(await awaiting('requester')).not.toContain(request.id);
});

test('what the risk is made of is shown, signed, and in evidence', async () => {
  const risk = { score: 30, contributions: [{ add: 30, because: 'production' }] };
  expect(request.risk).toEqual(risk);
  expect(request.review).toMatchObject({ risk });
  expect((await evidence()).find(({ kind }) => kind === 'request.risk-assessed')?.data).toEqual(risk);
  await api.as('requester', `/v1/requests/${request.id}/amendments`, { body: { scopes: ['write'], reason: 'writes' } });
  await api.carryOut(request.id);
  const amended = (await api.as('owner', `/v1/requests/${request.id}`)).as(RequestBody);
  expect(amended.risk).toEqual({
    score: 70,
    contributions: [...risk.contributions, { add: 40, because: 'it can write' }],
  });
  expect(amended.digest).not.toBe(request.digest);
});

test('a proof is recorded for simulation as what it is', async () => {
  await prove(await signedIn('owner', 1));
  const events: unknown[] = [];
  for await (const record of recordedRequests(api.ledger.prisma, { flowName: 'onboarding-connector' }))
    if (record.id === request.id) events.push(...record.events);
  expect(events).toMatchObject([
    { confirm: { id: emailOf('owner'), active: true }, authenticatedAt: expect.any(String) },
  ]);
});

test('a pipeline has nobody who signs in', async () => {
  const { revision, digest, id } = request;
  const body = { revision, digest, stage: 'confirm' };
  const answer = await api.send(await api.pipelineToken(), `/v1/requests/${id}/proofs`, { body });
  expect([answer.status, answer.slug]).toEqual([403, 'forbidden']);
});
