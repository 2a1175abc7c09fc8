import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { formatVerifierKey, noteVerifier } from '../../domain/evidence/signedNote.ts';
import { consistencyProof, inclusionProof, latestCheckpoint, listEvidence } from '../../ledger/evidenceReads.ts';
import { sealOnce } from '../../ledger/sealer.ts';
import { evidenceFixture } from './evidenceFixture.ts';

const run = promisify(execFile);
const buildDirectory = mkdtempSync(join(tmpdir(), 'tenure-oracle-'));
const oracle = join(buildDirectory, 'oracle');

beforeAll(async () => {
  try {
    await run('go', ['build', '-buildvcs=false', '-o', oracle, '.'], {
      cwd: fileURLToPath(new URL('../oracle', import.meta.url)),
    });
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') {
      throw new Error(
        'This suite checks evidence with Go: install Go 1.24 or newer (https://go.dev/dl) and put `go` on the PATH.',
        { cause },
      );
    }
    throw cause;
  }
}, 300_000);
afterAll(() => rmSync(buildDirectory, { recursive: true, force: true }));

test("Go's transparency log packages accept our checkpoint, our tree and all our proofs, and find one flipped bit", async () => {
  const log = await evidenceFixture();
  const sizes: number[] = [];
  for (const count of [1, 2, 5, 9, 20]) {
    await log.append(
      ...Array.from({ length: count }, (_, serial) => ({
        chain: `request/${serial % 3}`,
        data: { serial, text: 'ü € \u2028 "' },
      })),
    );
    sizes.push((await sealOnce(log)).newest?.size ?? 0);
  }
  expect(sizes).toEqual([1, 3, 8, 17, 37]);
  const hashes = (proof: readonly Buffer[]) => proof.map((hash) => hash.toString('base64'));
  const inclusion = [];
  const consistency = [];
  for (const size of sizes) {
    for (let index = 0; index < size; index++) {
      inclusion.push({ index, size, hashes: hashes(await inclusionProof(log.ledger, index, size)) });
    }
    for (let from = 1; from <= size; from++) {
      consistency.push({ from, to: size, hashes: hashes(await consistencyProof(log.ledger, from, size)) });
    }
  }
  const directory = join(log.directory, 'export');
  mkdirSync(directory);
  const entries = (await listEvidence(log.ledger, { limit: 100 })).items.map(({ body }) => `${body}\n`).join('');
  writeFileSync(join(directory, 'entries.jsonl'), entries);
  writeFileSync(join(directory, 'checkpoint'), (await latestCheckpoint(log.ledger))?.note ?? '');
  writeFileSync(join(directory, 'vkey'), `${formatVerifierKey(noteVerifier(log.keys.origin, log.keys.signingKey))}\n`);
  const proofs = join(log.directory, 'proofs.json');
  writeFileSync(proofs, JSON.stringify({ inclusion, consistency }));

  const { stdout } = await run(oracle, [directory, proofs]);
  expect(stdout).toBe(`37 entries, ${inclusion.length} inclusion and ${consistency.length} consistency proofs\n`);

  const flipped = Buffer.from(readFileSync(join(directory, 'entries.jsonl')));
  flipped[100] = (flipped[100] ?? 0) ^ 1;
  writeFileSync(join(directory, 'entries.jsonl'), flipped);
  await expect(run(oracle, [directory, proofs])).rejects.toMatchObject({
    stderr: expect.stringContaining('the signed one is'),
  });
});
