import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePort } from '../../embedded/ports.ts';
import { type EmbeddedRuntime, startEmbedded } from '../../embedded/runtime.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const stateDir = mkdtempSync(join(tmpdir(), 'tenure-readme-'));
let runtime: EmbeddedRuntime;

beforeAll(async () => {
  runtime = await startEmbedded({ stateDir, leaseSeconds: 10, ports: { api: await freePort() } });
}, 120_000);
afterAll(async () => {
  await runtime?.stop();
  rmSync(stateDir, { recursive: true, force: true });
});

test('the commands of the README work as they stand, at the first try', { timeout: 180_000 }, async () => {
  const commands = [...readFileSync(join(root, 'README.md'), 'utf8').matchAll(/^```bash\n(.*?)^```$/gms)]
    .map(([, block]) => block)
    .join('\n')
    .replace('http://127.0.0.1:8080', runtime.apiUrl)
    .replaceAll('evidence-export', join(stateDir, 'evidence-export'));
  const { code, stdout, stderr } = await bash(commands);
  // While something is waited for, a refused call says so on stderr; only a command that fails ends the script.
  expect(code, stderr).toBe(0);
  const lines = stdout.trim().split('\n');
  expect(lines.slice(0, 4)).toEqual([
    'awaiting-approval',
    'awaiting-approval',
    expect.stringMatching(/executing|completed/),
    'completed',
  ]);
  expect(lines.at(4)).toMatch(/^tenure_[a-z2-7]{26}_v1$/);
  expect(lines.join('\n')).toMatch(/^Verified: \d+ entries/m);
});

async function bash(script: string): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn('bash', ['-euo', 'pipefail'], {
    cwd: root,
    env: { ...process.env, TENURE_STATE_DIR: stateDir, NO_COLOR: '1', npm_config_loglevel: 'silent' },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdin.end(script);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout, stderr };
}
