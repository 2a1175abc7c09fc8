import { expect, test } from 'vitest';
import { z } from 'zod';
import { recordDifferences } from '../../ledger/findings.ts';
import { takeRun } from '../../ledger/reconciliations.ts';
import { recordRestore, resumeIfCompared } from '../../ledger/restore.ts';
import { randomIdentityId } from '../contract/issuers/issuerContract.ts';
import { sealerOf } from '../setup/sealed.ts';
import { type ApiFixture, apiFixture, type PersonName } from './apiFixture.ts';
import { asked, decide, onboarded } from './onboarded.ts';

const api = await apiFixture({ lives: 'file' });

const Runs = z.object({
  items: z.array(z.object({ id: z.string(), part: z.string(), name: z.string(), state: z.string() })),
});
const Listed = z.object({
  observeOnly: z.boolean(),
  openFindings: z.int(),
  restore: z.object({ state: z.string(), signedEntries: z.int(), confirmedBy: z.string().nullable() }).nullable(),
});
const Findings = z.object({
  items: z.array(
    z.object({ id: z.string(), kind: z.string(), state: z.string(), version: z.int().nullable(), remedy: z.string() }),
  ),
});

const signed = { size: 42, root: Buffer.alloc(32, 7) };
const reason = 'restored from the backup of 09:00';

/** An unknown credential, as a comparison would have found it. */
async function found(of: ApiFixture = api): Promise<string> {
  const identityId = randomIdentityId();
  const run = await takeRun(of.ledger, { part: 'issuer', name: 'main-db' });
  const difference = { kind: 'unknown', identityId, version: 1, detail: 'nobody knows it' } as const;
  await recordDifferences(of.ledger, run, { identityId, first: [difference], compare: () => [difference] });
  return identityId;
}

test('responders and administrators compare everything; a retried call has the same runs, and others read only', async () => {
  const first = await api.as('responder-1', '/v1/reconciliations', { method: 'POST', key: 'compare' });
  expect(first.status).toBe(202);
  const { items } = first.as(Runs);
  const parts = ['issuer/agents', 'issuer/main-db', 'issuer/signing', 'store/sealed'];
  expect(items.map(({ part, name }) => `${part}/${name}`).toSorted()).toEqual(parts);
  expect(items.every(({ state }) => state === 'waiting')).toBe(true);
  const again = await api.as('responder-1', '/v1/reconciliations', { method: 'POST', key: 'compare' });
  expect(again.as(Runs)).toEqual(first.as(Runs));
  const joined = await api.as('admin', '/v1/reconciliations', { method: 'POST' });
  expect(joined.as(Runs).items.map(({ id }) => id)).toEqual(items.map(({ id }) => id));
  const due = await api.ledger.prisma.dueWork.findMany({ where: { kind: 'reconcile' }, orderBy: { subjectId: 'asc' } });
  expect(due.map(({ subjectId }) => subjectId)).toEqual(parts);
  expect((await api.as('auditor', '/v1/reconciliations')).as(Runs).items).toHaveLength(parts.length);
});

test('who has no role for it is refused, and nothing is begun', async () => {
  const before = await api.ledger.prisma.reconciliation.count();
  for (const person of ['requester', 'auditor', 'stranger'] satisfies PersonName[])
    expect((await api.as(person, '/v1/reconciliations', { method: 'POST' })).slug).toBe('forbidden');
  expect((await api.as('stranger', '/v1/reconciliations')).slug).toBe('forbidden');
  expect((await api.as('requester', '/v1/reconciliations/findings')).slug).toBe('forbidden');
  for (const person of ['responder-1', 'auditor', 'requester'] satisfies PersonName[])
    expect((await api.as(person, '/v1/reconciliations/resume', { body: { reason } })).slug).toBe('forbidden');
  expect((await api.send(await api.pipelineToken(), '/v1/reconciliations')).slug).toBe('forbidden');
  expect(await api.ledger.prisma.reconciliation.count()).toBe(before);
});

test('findings are listed with what to do; one that is accepted is closed for everybody else', async () => {
  const identityId = await found();
  const open = await api.as('auditor', `/v1/reconciliations/findings?state=open&kind=unknown&identityId=${identityId}`);
  const [finding] = open.as(Findings).items;
  if (finding === undefined) throw new Error('the finding is not listed');
  expect(finding).toMatchObject({ kind: 'unknown', state: 'open', version: 1 });
  expect(finding.remedy).toContain('Accept it to keep it');

  const accept = `/v1/reconciliations/findings/${finding.id}/accept`;
  expect((await api.as('auditor', accept, { body: { reason: 'mine' } })).slug).toBe('forbidden');
  expect((await api.as('responder-1', accept, { body: {} })).slug).toBe('invalid-request');
  const accepted = { state: 'accepted', resolution: 'kept', resolvedBy: 'responder-1@example.com' };
  for (const _ of ['first', 'again']) {
    const answer = await api.as('responder-1', accept, { body: { reason: 'kept' } });
    expect([answer.status, JSON.parse(answer.text)]).toMatchObject([200, accepted]);
  }
  expect((await api.as('responder-2', accept, { body: { reason: 'also' } })).slug).toBe('finding-closed');
  const unknown = `/v1/reconciliations/findings/${randomIdentityId()}/accept`;
  expect((await api.as('admin', unknown, { body: { reason } })).slug).toBe('not-found');
  expect((await api.as('admin', '/v1/reconciliations/findings?kind=odd')).detail).toContain('query.kind');
});

test('a ledger that was not restored has nothing to resume', async () => {
  expect((await api.as('admin', '/v1/reconciliations/resume', { body: { reason } })).slug).toBe('not-observe-only');
});

test('a restored ledger says so everywhere, opens and decides nothing, takes safety commands, and resumes for an administrator with a reason', async () => {
  const own = await apiFixture();
  const { identityId } = await onboarded(own);
  await recordRestore(own.ledger, signed);

  const ready = await own.send(undefined, '/readyz');
  expect([ready.status, JSON.parse(ready.text)]).toMatchObject([200, { status: 'degraded', ledger: 'observe-only' }]);
  expect((await own.as('auditor', '/v1/reconciliations')).as(Listed)).toMatchObject({
    observeOnly: true,
    restore: { state: 'observing', signedEntries: 42, confirmedBy: null },
  });

  const rotations = `/v1/identities/${identityId}/rotations`;
  const rotation = await own.as('requester', rotations, { body: { justification: 'release 42' } });
  expect([rotation.status, rotation.slug]).toEqual([503, 'observe-only']);
  expect(rotation.detail).toContain('/v1/reconciliations/resume');
  const freeze = await own.as('responder-1', '/v1/freezes', {
    body: { identityIds: [identityId], reason: 'an incident' },
  });
  expect(freeze.status).toBe(201);
  const revocation = await own.as('responder-1', `/v1/identities/${identityId}/revocation`, {
    body: { justification: 'an incident' },
  });
  expect(revocation.status).toBe(202);

  expect((await own.as('admin', '/v1/reconciliations/resume', { body: {} })).slug).toBe('invalid-request');
  for (const _ of ['first', 'again']) {
    const confirmed = await own.as('admin', '/v1/reconciliations/resume', { body: { reason } });
    expect([confirmed.status, JSON.parse(confirmed.text)]).toMatchObject([202, { state: 'resuming', reason }]);
  }
  // It goes on observing until every issuer and store was compared once more.
  expect(await resumeIfCompared(own.ledger)).toBe(false);
  expect(JSON.parse((await own.send(undefined, '/readyz')).text)).toMatchObject({ ledger: 'observe-only' });
  await own.ledger.prisma.reconciliation.updateMany({
    where: { finishedAt: null, trigger: 'resume' },
    data: { state: 'done', finishedAt: new Date() },
  });
  expect(await resumeIfCompared(own.ledger)).toBe(true);
  expect(await resumeIfCompared(own.ledger)).toBe(false);
  await sealerOf(own.ledger).seal();
  expect(JSON.parse((await own.send(undefined, '/readyz')).text)).toMatchObject({ status: 'ready', ledger: 'acting' });
});

test('a decision on a restored ledger is refused before anything is signed', async () => {
  const own = await apiFixture();
  const { id } = await asked(own);
  await recordRestore(own.ledger, signed);
  expect((await decide(own, 'security-1', id)).slug).toBe('observe-only');
  expect(await own.ledger.prisma.decision.count()).toBe(0);
  expect((await own.as('requester', `/v1/requests/${id}/amendments`, { body: { purpose: 'x', reason } })).slug).toBe(
    'observe-only',
  );
  expect((await own.as('requester', `/v1/requests/${id}/pause`, { body: { reason } })).status).toBe(200);
});
