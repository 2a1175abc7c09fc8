import { createHash } from 'node:crypto';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RequestBody } from '../../api/representations/request.ts';
import { exportEvidence } from '../../cli/evidenceExport.ts';
import { fetchRequestEvidence } from '../../cli/evidenceRequest.ts';
import { verifyBundle, verifyExport } from '../../cli/evidenceVerify.ts';
import { requestBundleResponseSchema } from '../../contracts/evidence.ts';
import { canonicalJson } from '../../domain/evidence/canonicalJson.ts';
import { signCheckpoint } from '../../domain/evidence/checkpoint.ts';
import { GrowingTree, leafHash } from '../../domain/evidence/merkleTree.ts';
import { type IdPurpose, idFromKey } from '../../domain/ids.ts';
import { evidenceOf } from '../../ledger/applyChange.ts';
import { openFreeze } from '../../ledger/freezes.ts';
import { freezeDepartedOwner } from '../../ledger/systemFreezes.ts';
import { type ApiFixture, apiFixture, emailOf, onboarding } from '../api/apiFixture.ts';
import { asked, decide } from '../api/onboarded.ts';
import { sealerOf } from '../setup/sealed.ts';

/** What an auditor holds, and what whoever runs the log, key and all, can make them believe of a decision: nothing. */

let api: ApiFixture;
let sealer: ReturnType<typeof sealerOf>;
let directory: string;
let entries: readonly Entry[];

interface Entry {
  readonly kind: string;
  readonly actor: string;
  readonly data: Readonly<Record<string, unknown>>;
}

beforeAll(async () => {
  api = await apiFixture({ lives: 'file' });
  sealer = sealerOf(api.ledger);
  const approved = await asked(api, { name: 'approved' });
  expect((await decide(api, 'security-1', approved.id)).as(RequestBody).state).toBe('executing');
  const denied = await asked(api, { name: 'denied', justification: `${emailOf('owner')} wants it` });
  await api.as('requester', `/v1/requests/${denied.id}/pause`, { body: { reason: 'a look first' } });
  await decide(api, 'security-1', denied.id);
  await decide(api, 'security-1', denied.id, 'withdraw');
  await api.as('requester', `/v1/requests/${denied.id}/resume`, { body: { reason: 'seen' } });
  await decide(api, 'security-2', denied.id, 'deny');
  await sealer.seal();
  directory = join(sealer.directory, 'export');
  await exportEvidence({ url: api.address, token: await api.tokenOf('auditor'), directory });
  entries = lines().map((line) => JSON.parse(line));
});
afterAll(() => sealer.remove());

const lines = (of = directory): string[] => readFileSync(join(of, 'entries.jsonl'), 'utf8').split('\n').slice(0, -1);

/** The export as an operator who has the evidence key, and no other, would like it to be. */
function rewritten(name: string, change: (line: string) => string | undefined): string {
  const copy = join(sealer.directory, name.replace(/\W/g, '-'));
  cpSync(directory, copy, { recursive: true });
  const changed = lines().flatMap((line) => change(line) ?? []);
  expect(changed).not.toEqual(lines());
  const tree = new GrowingTree();
  for (const line of changed) tree.append(leafHash(line));
  const { origin, signingKey } = api.ledger.evidence;
  writeFileSync(join(copy, 'entries.jsonl'), changed.map((line) => `${line}\n`).join(''));
  writeFileSync(join(copy, 'checkpoint'), signCheckpoint({ origin, size: tree.size, root: tree.root }, signingKey));
  return copy;
}

/** Changes the first entry of this kind, in the form that would be canonical. */
const changing = (kind: string, change: (data: Record<string, unknown>) => object) => {
  let isDone = false;
  return (line: string): string => {
    const entry = JSON.parse(line);
    if (isDone || entry.kind !== kind) return line;
    isDone = true;
    return canonicalJson({ ...entry, data: { ...entry.data, ...change(entry.data) } });
  };
};

test('every decision of an export is verified offline: approvals, denials, withdrawals', async () => {
  expect(await verifyExport({ directory })).toMatchObject({
    ok: true,
    decisions: { verified: 4, notVerifiable: 0 },
    problems: [],
  });
});

test.each<[string, string, (data: Record<string, unknown>) => object]>([
  [
    'a denial told as an approval',
    'decision.recorded',
    ({ verdict }) => ({ verdict: verdict === 'deny' ? 'approve' : 'deny' }),
  ],
  ['another comment', 'decision.recorded', () => ({ comment: 'as discussed' })],
  ['another digest', 'decision.recorded', () => ({ digest: 'a'.repeat(64) })],
  ['another approver', 'decision.recorded', () => ({ approverId: `p_${'0'.repeat(32)}` })],
  ['another instant', 'decision.recorded', () => ({ decidedAt: '2026-01-01T00:00:00.000Z' })],
  ['no signature', 'decision.recorded', () => ({ signature: '' })],
  ['a version of which nobody knows', 'decision.recorded', () => ({ version: 3 })],
  [
    'a withdrawal that nobody signed',
    'decision.withdrawn',
    ({ withdrawal }) => ({ withdrawal: { ...(withdrawal as object), comment: 'x' } }),
  ],
  [
    'another thing shown',
    'request.case-file',
    ({ caseFile }) => ({ caseFile: { ...(caseFile as object), justification: 'harmless' } }),
  ],
  [
    'another key under the name of ours',
    'installation.decision-key',
    () => ({ publicKey: Buffer.alloc(32, 1).toString('base64') }),
  ],
])('%s is found in a log that its own operator signed anew', async (what, kind, change) => {
  const report = await verifyExport({ directory: rewritten(what, changing(kind, change)) });
  expect(report.ok).toBe(false);
  expect(report.problems.map(({ code }) => code)).toContain('decision-unverified');
});

test('a decision whose key or whose case file was left out is not taken for verified', async () => {
  // What whole chains are made of tells on it too; here the decision itself does.
  for (const kind of ['installation.decision-key', 'request.case-file']) {
    const renamed = (line: string) => line.replace(`"kind":"${kind}"`, '"kind":"request.something"');
    const { problems } = await verifyExport({ directory: rewritten(`without ${kind}`, renamed) });
    expect(problems.map(({ code }) => code)).toContain('decision-unverified');
  }
});

test('no decision of before is passed off as verified, and none of now as one of before', async () => {
  const asFirst = (line: string) => {
    const entry = JSON.parse(line);
    if (entry.kind !== 'decision.recorded') return line;
    const { version: _, ...data } = entry.data;
    return canonicalJson({ ...entry, data });
  };
  const report = await verifyExport({ directory: rewritten('as of before', asFirst) });
  expect('decisions' in report ? report.decisions : undefined).toEqual({
    verified: 1,
    notVerifiable: 3,
    notVerifiableSince: 3,
  });
});

test('nobody is found by guessing: no digest in evidence is one over an address', async () => {
  const text = lines().join('\n');
  expect(text).not.toContain('@');
  const requests = await api.ledger.prisma.request.findMany({ select: { id: true } });
  for (const { id } of requests) {
    const { review } = (await api.as('auditor', `/v1/requests/${id}`)).as(RequestBody);
    for (const stage of ['security', 'issue', '']) {
      const guess = createHash('sha256').update(canonicalJson(JSON.parse(JSON.stringify({ ...review, stage }))));
      expect(text).not.toContain(guess.digest('hex'));
    }
  }
});

test('the same person is the same pseudonym in what was shown, in who decided and in who asked', () => {
  const of = (kind: string) => entries.filter((entry) => entry.kind === kind);
  const [opened] = of('request.opened');
  expect(of('request.case-file')[0]?.data).toMatchObject({ caseFile: { requesterId: opened?.actor } });
  for (const { actor, data } of of('decision.recorded')) expect(data['approverId']).toBe(actor);
});

test('nor by ids: none is made of a person and a key alone, whatever the call', async () => {
  const key = 'deploy-1';
  const send = async (person: Parameters<ApiFixture['as']>[0], path: string, body: object) => {
    const answer = await api.as(person, path, { body, key });
    expect(answer.status, answer.text).toBeLessThan(300);
    return answer;
  };
  const { id, digest, identityId } = (await send('requester', '/v1/identities', { ...onboarding, name: 'guessed' })).as(
    RequestBody,
  );
  await send('security-1', `/v1/requests/${id}/decisions`, { verdict: 'approve', revision: 1, digest });
  await send('owner', `/v1/requests/${id}/pause`, { reason: 'a look first' });
  await send('responder-1', '/v1/freezes', { integrations: ['payments'], reason: 'incident', confirm: true }).catch(
    String,
  );
  await send('admin', '/v1/reconciliations', {}).catch(String);
  const written = JSON.stringify([
    await api.ledger.prisma.evidenceEntry.findMany({ select: { body: true, chain: true } }),
    await api.ledger.prisma.requestEvent.findMany(),
    await api.ledger.prisma.freeze.findMany(),
    identityId,
  ]);
  const purposes: IdPurpose[] = [
    'identity',
    'request',
    'decision',
    'command',
    'freeze',
    'reconciliation',
    'freeze-reviews',
  ];
  for (const person of ['requester', 'security-1', 'owner', 'responder-1', 'admin'])
    for (const purpose of purposes)
      expect(written).not.toContain(idFromKey(purpose, { principal: emailOf(person), key }));
});

test('nor by the freeze of what somebody owned who has left', async () => {
  const { prisma } = api.ledger;
  const ownerId = 'leaver@example.com';
  await prisma.person.create({
    data: { id: ownerId, name: 'leaver', source: 'a test', active: false, leftAt: new Date() },
  });
  const cause = `owner-gone/${ownerId}/1`;
  const { id } = await freezeDepartedOwner(api.ledger, { ownerId, cause });
  expect(id).not.toBe(idFromKey('freeze', { principal: 'system:lifecycle', key: cause }));
  expect((await freezeDepartedOwner(api.ledger, { ownerId, cause })).id).toBe(id);
});

test('a call of an earlier release that is repeated is answered with what it did, and done once', async () => {
  const key = 'of-before';
  const order = { id: idFromKey('freeze', { principal: emailOf('responder-1'), key }), by: emailOf('responder-1') };
  await openFreeze(api.ledger, { ...order, reason: 'incident', integrations: ['elsewhere'] });
  const body = { integrations: ['elsewhere'], reason: 'incident' };
  const repeated = await api.as('responder-1', '/v1/freezes', { body, key });
  expect(JSON.parse(repeated.text)).toMatchObject({ id: order.id });
  expect(await api.ledger.prisma.freeze.count({ where: { integrations: { has: 'elsewhere' } } })).toBe(1);
});

describe('the evidence of one request', () => {
  let bundle: string;
  let requestId: string;

  beforeAll(async () => {
    requestId = (await asked(api, { name: 'bundled' })).id;
    await decide(api, 'security-1', requestId);
    await sealer.seal();
    bundle = join(sealer.directory, 'bundle');
    const access = { url: api.address, token: await api.tokenOf('auditor') };
    expect(await fetchRequestEvidence({ ...access, requestId, directory: bundle })).toMatchObject({ ok: true });
  });

  /** Without the lines that this picks, as whoever hands it over would like it to be. */
  function without(name: string, isLeftOut: (entry: Entry, place: number, of: number) => boolean): string {
    const copy = join(sealer.directory, name);
    cpSync(bundle, copy, { recursive: true });
    const all = lines(bundle);
    const kept = all.map((line, place) => !isLeftOut(JSON.parse(line), place, all.length));
    for (const file of ['entries.jsonl', 'proofs.jsonl']) {
      const text = readFileSync(join(copy, file), 'utf8').split('\n').slice(0, -1);
      writeFileSync(join(copy, file), text.flatMap((line, place) => (kept[place] ? [`${line}\n`] : [])).join(''));
    }
    expect(lines(copy).length).toBeLessThan(all.length);
    return copy;
  }

  test('is proven offline: every entry, every decision, and that there is no more of it', async () => {
    const report = await verifyBundle({ directory: bundle });
    expect(report).toMatchObject({ ok: true, chain: `request/${requestId}`, decisions: { verified: 1 } });
    expect(lines(bundle).some((line) => line.includes('decision.recorded'))).toBe(true);
  });

  test('hides neither its end, nor its beginning, nor what stands between', async () => {
    const hidden = [
      without('no end', (_entry, place, of) => place === of - 1),
      without('half', (_entry, place, of) => place > of / 2),
      without('no beginning', ({ kind }) => kind === 'request.opened'),
      without('no decision', ({ kind }) => kind === 'decision.recorded'),
      without('no key', ({ kind }) => kind === 'installation.decision-key'),
      without('nothing', () => true),
    ];
    for (const directory of hidden) expect(await verifyBundle({ directory }), directory).toMatchObject({ ok: false });
  });

  test('is not passed off with the end of another request, of an earlier log, or with another proof', async () => {
    const access = { url: api.address, token: await api.tokenOf('auditor') };
    const other = join(sealer.directory, 'of-another');
    const { id } = await asked(api, { name: 'another' });
    await sealer.seal();
    await fetchRequestEvidence({ ...access, requestId: id, directory: other });
    const swapped = (file: string): string => {
      const copy = join(sealer.directory, `with another ${file}`);
      cpSync(bundle, copy, { recursive: true });
      cpSync(join(other, file), join(copy, file));
      return copy;
    };
    for (const file of ['head', 'checkpoint', 'proofs.jsonl', 'entries.jsonl'])
      expect(await verifyBundle({ directory: swapped(file) }), file).toMatchObject({ ok: false });
  });

  test('comes in pages under one checkpoint, however the log goes on meanwhile', async () => {
    const read = async (query: string) => api.as('auditor', `/v1/evidence/requests/${requestId}?${query}`);
    const page = async (query: string) => (await read(query)).as(requestBundleResponseSchema);
    const first = await page('limit=2');
    await asked(api, { name: 'meanwhile' });
    await sealer.seal();
    const second = await page(`limit=2&cursor=${first.nextCursor}`);
    expect([first.entries.length, second.head]).toEqual([2, first.head]);
    expect(second.entries[0]?.leafIndex).toBeGreaterThan(first.entries[1]?.leafIndex ?? Number.NaN);
    for (const cursor of ['x', 'bundle,9,9', 'bundle,1000000,1'])
      expect((await read(`cursor=${Buffer.from(cursor).toString('base64url')}`)).status).toBe(400);
  });
});

test('evidence says what was done: a notice that went to a log told nobody, and a read that may fail was allowed', () => {
  const told = evidenceOf({ change: 'notify', to: ['owner'], about: 'stage:tell' }, api.ledger.evidence.personKey);
  expect(told).toEqual({
    kind: 'request.notice-queued',
    data: { to: ['owner'], about: 'stage:tell', channel: 'log' },
  });
});
