import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { exportEvidence } from '../../cli/evidenceExport.ts';
import { fetchRequestEvidence } from '../../cli/evidenceRequest.ts';
import { type ApiFixture, apiFixture } from '../api/apiFixture.ts';
import { asked, decide } from '../api/onboarded.ts';
import { sealerOf } from '../setup/sealed.ts';

/** A program in Go, written from docs/evidence.md alone, comes to the same answers as `tenure evidence verify`. */

const run = promisify(execFile);
let api: ApiFixture;
let sealer: ReturnType<typeof sealerOf>;
let oracle: string;

beforeAll(async () => {
  api = await apiFixture({ lives: 'file' });
  sealer = sealerOf(api.ledger);
  oracle = join(sealer.directory, 'oracle');
  const cwd = fileURLToPath(new URL('../oracle', import.meta.url));
  await run('go', ['build', '-buildvcs=false', '-o', oracle, '.'], { cwd });
}, 300_000);
afterAll(() => sealer.remove());

test('it verifies the decisions of an export and the evidence of one request, and finds one byte of either changed', async () => {
  const { id: requestId } = await asked(api, { justification: 'ü € "quoted" \u{1f600}' });
  await decide(api, 'security-1', requestId);
  await sealer.seal();
  const access = { url: api.address, token: await api.tokenOf('auditor') };
  const [log, bundle] = [join(sealer.directory, 'log'), join(sealer.directory, 'request')];
  await exportEvidence({ ...access, directory: log });
  await fetchRequestEvidence({ ...access, requestId, directory: bundle });
  expect((await run(oracle, ['decisions', log])).stdout).toBe('1 decisions verified, 0 of the first version\n');
  expect((await run(oracle, ['bundle', bundle])).stdout).toMatch(
    new RegExp(`^all \\d+ entries of request/${requestId}, 1 decisions verified\n$`),
  );

  const entries = join(log, 'entries.jsonl');
  const whole = readFileSync(entries, 'utf8');
  writeFileSync(entries, whole.replace('"verdict":"approve"', '"verdict":"deny"'));
  await expect(run(oracle, ['decisions', log])).rejects.toMatchObject({ stderr: expect.stringContaining('signature') });
  const shownOtherwise = (line: string) =>
    line.includes('"kind":"request.case-file"') ? line.replace('"justification":"ü', '"justification":"u') : line;
  writeFileSync(entries, whole.split('\n').map(shownOtherwise).join('\n'));
  await expect(run(oracle, ['decisions', log])).rejects.toMatchObject({ stderr: expect.stringContaining('case file') });

  for (const file of ['entries.jsonl', 'proofs.jsonl']) {
    const path = join(bundle, file);
    writeFileSync(path, readFileSync(path, 'utf8').split('\n').slice(0, -2).join('\n').concat('\n'));
  }
  await expect(run(oracle, ['bundle', bundle])).rejects.toMatchObject({
    stderr: expect.stringContaining('the bundle'),
  });
});
