import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Command } from 'commander';
import fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import { registerEvidence } from '../../cli/evidence.ts';
import { exportEvidence } from '../../cli/evidenceExport.ts';
import { verifyExport } from '../../cli/evidenceVerify.ts';
import type { CheckpointResponse, EvidencePage } from '../../contracts/evidence.ts';
import { signCheckpoint } from '../../domain/evidence/checkpoint.ts';
import { GrowingTree, leafHash } from '../../domain/evidence/merkleTree.ts';
import { verifierKeyOf } from '../../ledger/evidenceLogs.ts';
import { latestCheckpoint, listEvidence } from '../../ledger/evidenceReads.ts';
import { sealOnce } from '../../ledger/sealer.ts';
import { type EvidenceFixture, evidenceFixture } from '../ledger/evidenceFixture.ts';

const token = 'auditor-token';
const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

test('an export of several pages holds exactly the sealed entries, and verifies offline', async () => {
  const { log, directory } = await exportedLog(450);
  const { items } = await listEvidence(log.ledger, { limit: 1000 });
  expect(readFileSync(join(directory, 'entries.jsonl'), 'utf8')).toBe(items.map(({ body }) => `${body}\n`).join(''));
  expect(readFileSync(join(directory, 'checkpoint'), 'utf8')).toBe((await latestCheckpoint(log.ledger))?.note);
  expect(await verifyExport({ directory })).toMatchObject({ ok: true, size: 450, lines: 450, problems: [] });
});

test('one flipped bit in any file of an export is found', async () => {
  const { directory } = await exportedLog(3);
  const files = ['entries.jsonl', 'checkpoint', 'vkey'].map((name) => {
    const bytes = readFileSync(join(directory, name));
    // White space around the key carries nothing.
    return { name, bytes, length: name === 'vkey' ? bytes.length - 1 : bytes.length };
  });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...files),
      fc.nat(),
      fc.nat({ max: 7 }),
      async ({ name, bytes, length }, seed, bit) => {
        const flipped = Buffer.from(bytes);
        flipped[seed % length] = (flipped[seed % length] ?? 0) ^ (1 << bit);
        writeFileSync(join(directory, name), flipped);
        expect(await verifyExport({ directory })).toMatchObject({ ok: false });
        writeFileSync(join(directory, name), bytes);
      },
    ),
    { numRuns: 300 },
  );
});

test('a log rewritten and signed anew by its own operator is found by a checkpoint kept elsewhere', async () => {
  const { log, api, directory } = await exportedLog(3);
  const heldCheckpointFile = join(log.directory, 'kept');
  copyFileSync(join(directory, 'checkpoint'), heldCheckpointFile);
  await log.append({ data: { serial: 3 } });
  await sealOnce(log);
  const newer = join(log.directory, 'newer');
  await exportEvidence({ url: api, token, directory: newer });
  expect(await verifyExport({ directory: newer, heldCheckpointFile })).toMatchObject({
    ok: true,
    size: 4,
    heldSize: 3,
  });

  const lines = readFileSync(join(newer, 'entries.jsonl'), 'utf8').replace('"serial":1', '"serial":9');
  writeFileSync(join(newer, 'entries.jsonl'), lines);
  writeFileSync(join(newer, 'checkpoint'), signAnew(log, lines));
  expect(await verifyExport({ directory: newer })).toMatchObject({ ok: true });
  expect(await verifyExport({ directory: newer, heldCheckpointFile })).toMatchObject({
    ok: false,
    problems: [{ code: 'held-root-differs' }],
  });

  const cut = lines.split('\n').slice(0, 2).join('\n');
  writeFileSync(join(newer, 'entries.jsonl'), `${cut}\n`);
  writeFileSync(join(newer, 'checkpoint'), signAnew(log, `${cut}\n`));
  expect(await verifyExport({ directory: newer, heldCheckpointFile })).toMatchObject({
    ok: false,
    problems: [{ code: 'held-is-newer' }],
  });
});

test('an export signed with another key is refused by the key that one was given', async () => {
  const [ours, theirs] = [await exportedLog(1), await exportedLog(1)];
  expect(await verifyExport({ directory: theirs.directory })).toMatchObject({ ok: true });
  expect(await verifyExport({ directory: theirs.directory, vkeyFile: join(ours.directory, 'vkey') })).toMatchObject({
    ok: false,
    problems: [
      { code: 'unusable-file', message: expect.stringContaining('not signed by the key tenure.example/evidence+') },
    ],
  });
});

test('a missing file is named, not taken for an empty one', async () => {
  const { directory } = await exportedLog(1);
  for (const name of ['entries.jsonl', 'checkpoint', 'vkey']) {
    const bytes = readFileSync(join(directory, name));
    rmSync(join(directory, name));
    expect(await verifyExport({ directory })).toMatchObject({
      ok: false,
      problems: [{ message: expect.stringContaining(`${name} cannot be read (ENOENT)`) }],
    });
    writeFileSync(join(directory, name), bytes);
  }
});

test('an export is never overwritten', async () => {
  const { api, directory } = await exportedLog(1);
  await expect(exportEvidence({ url: api, token, directory })).rejects.toMatchObject({
    exit: 'usage',
    message: expect.stringContaining('kept, not overwritten'),
  });
});

test('an API that leaves an entry out, or refuses, or is not ours, gives no export', async () => {
  const log = await evidenceFixture();
  await log.append({}, {}, {});
  const directory = join(log.directory, 'export');
  const api = await serve(log, { withhold: 1 });
  await expect(exportEvidence({ url: api, token, directory })).rejects.toMatchObject({
    exit: 'unavailable',
    message: expect.stringMatching(/404 .*Nothing is sealed yet/),
  });
  await sealOnce(log);
  await expect(exportEvidence({ url: api, token, directory })).rejects.toThrow(
    /gave entry 2 where entry 1 must follow/,
  );
  await expect(exportEvidence({ url: api, token: 'wrong', directory })).rejects.toThrow(
    /answered 401 to GET \/v1\/evidence\/checkpoints\. Sign in\./,
  );
  await expect(exportEvidence({ url: 'http://127.0.0.1:1', token, directory })).rejects.toMatchObject({
    exit: 'unavailable',
  });
  expect(await verifyExport({ directory })).toMatchObject({ ok: false });
});

test('the command says first whether it verifies, and exits 0 or 1', async () => {
  const { api, log, directory } = await exportedLog(2);
  const told = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  const run = async (...args: string[]) => {
    told.mockClear();
    process.exitCode = undefined;
    const program = new Command('tenure').exitOverride();
    registerEvidence(program);
    await program.parseAsync(['node', 'tenure', 'evidence', ...args]);
    return { exitCode: process.exitCode ?? 0, output: told.mock.calls.map(([text]) => String(text)).join('') };
  };
  const again = join(log.directory, 'again');
  expect(await run('export', again, '--url', api, '--token', token)).toEqual({
    exitCode: 0,
    output: expect.stringMatching(/^Exported 2 entries of tenure\.example\/evidence/),
  });
  expect(await run('verify', again)).toEqual({
    exitCode: 0,
    output: expect.stringMatching(/Verified.*: 2 entries of tenure\.example\/evidence are exactly what was signed\./),
  });

  const entries = join(directory, 'entries.jsonl');
  writeFileSync(entries, readFileSync(entries, 'utf8').replace('"position":1', '"position":2'));
  const { exitCode, output } = await run('verify', directory);
  expect(exitCode).toBe(1);
  expect(output).toMatch(/^.*Not verified/);
  expect(output).toContain('entries.jsonl:2: Chain request/r1 has position 2 where 1 must follow');
  expect(output).toContain('do not have the signed root');
  const json = await run('verify', directory, '--json');
  expect(JSON.parse(json.output)).toMatchObject({
    ok: false,
    problems: [{ code: 'chain-broken', line: 2 }, { code: 'root-differs' }],
  });
});

async function exportedLog(entries: number): Promise<{ log: EvidenceFixture; api: string; directory: string }> {
  const log = await evidenceFixture();
  await log.append(...Array.from({ length: entries }, (_, serial) => ({ data: { serial } })));
  await sealOnce(log);
  const api = await serve(log);
  const directory = join(log.directory, 'export');
  mkdirSync(directory);
  expect(await exportEvidence({ url: `${api}/`, token, directory })).toMatchObject({ ok: true, size: entries });
  return { log, api, directory };
}

function signAnew(log: EvidenceFixture, lines: string): string {
  const tree = new GrowingTree();
  for (const line of lines.split('\n').slice(0, -1)) tree.append(leafHash(line));
  return signCheckpoint({ origin: log.keys.origin, size: tree.size, root: tree.root }, log.keys.signingKey);
}

/** The two routes that an export needs, over the real reads. */
async function serve(log: EvidenceFixture, { withhold }: { withhold?: number } = {}): Promise<string> {
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const answer = (status: number, body: object) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    if (request.headers.authorization !== `Bearer ${token}`) return answer(401, { detail: 'Sign in.' });
    const newest = await latestCheckpoint(log.ledger);
    if (newest === undefined) return answer(404, { detail: 'Nothing is sealed yet.' });
    if (url.pathname === '/v1/evidence/checkpoints') {
      return answer(200, { ...newest, vkey: verifierKeyOf(log.keys, newest.note) } satisfies CheckpointResponse);
    }
    const cursor = url.searchParams.get('cursor');
    const { items, next } = await listEvidence(log.ledger, {
      limit: Number(url.searchParams.get('limit')),
      ...(cursor === null ? {} : { after: Number(cursor) }),
    });
    return answer(200, {
      items: items.filter(({ leafIndex }) => leafIndex !== withhold),
      nextCursor: next === undefined ? null : String(next),
    } satisfies EvidencePage);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  stops.push(async () => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
