import { createHash } from 'node:crypto';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RequestBody } from '../../api/representations/request.ts';
import { exportEvidence } from '../../cli/evidenceExport.ts';
import { verifyExport } from '../../cli/evidenceVerify.ts';
import { canonicalJson } from '../../domain/evidence/canonicalJson.ts';
import { signCheckpoint } from '../../domain/evidence/checkpoint.ts';
import { GrowingTree, leafHash } from '../../domain/evidence/merkleTree.ts';
import { type ApiFixture, apiFixture, emailOf } from '../api/apiFixture.ts';
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
