import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { apiClient, approve, type RequestView, waitFor } from '../../embedded/demo/apiClient.ts';
import { freePort } from '../../embedded/ports.ts';
import { accountRequest } from './embedded.ts';

const tenure = fileURLToPath(new URL('../../cli/tenure.js', import.meta.url));
const stateDir = mkdtempSync(join(tmpdir(), 'tenure-up-'));
const port = await freePort();
const env = { ...process.env, TENURE_STATE_DIR: stateDir, TENURE_PORT: String(port), NO_COLOR: '1' };
const running = new Set<ChildProcess>();

afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
  rmSync(stateDir, { recursive: true, force: true });
});

test('tenure up goes on with open requests and earlier tokens, after Ctrl-C and after kill -9, and starts only once', {
  timeout: 240_000,
}, async () => {
  const url = `http://127.0.0.1:${port}`;
  const first = await startedUp();
  const token = (name: string) => run(['token', name]).then(({ stdout }) => stdout.trim());
  const requester = apiClient(url, await token('requester'));
  const request = await requester.post<RequestView>('/v1/identities', accountRequest());
  expect(request.state).toBe('awaiting-approval');

  const second = await run(['up']);
  expect(second.code).toBe(75);
  expect(`${second.stdout}${second.stderr}`).toMatch(/running/);

  first.kill('SIGKILL');
  await ended(first);
  const recovered = await startedUp();
  await approve(apiClient(url, await token('security-1')), request.id);

  recovered.kill('SIGINT');
  expect(await ended(recovered)).toBe(0);
  const last = await startedUp();
  await approve(apiClient(url, await token('security-2')), request.id);
  // The token of before both restarts is still good, and the workflow of before them finishes.
  await waitFor(requester, request.id, ['completed']);
  last.kill('SIGINT');
  expect(await ended(last)).toBe(0);
});

async function startedUp(): Promise<ChildProcess> {
  const child = spawn(process.execPath, [tenure, 'up'], { env });
  running.add(child);
  let output = '';
  await new Promise<void>((resolve, reject) => {
    const listen = (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes('Tenure is ready')) resolve();
    };
    child.stdout?.on('data', listen);
    child.stderr?.on('data', listen);
    child.once('close', (code) => reject(new Error(`tenure up ended with ${code}:\n${output}`)));
  });
  return child;
}

async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    await new Promise<void>((resolve) => child.once('close', () => resolve()));
  }
  running.delete(child);
  return child.exitCode;
}

async function run(args: readonly string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [tenure, ...args], { env });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout, stderr };
}
