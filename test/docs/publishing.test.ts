import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { apiClient, approve, type RequestView, waitFor } from '../../embedded/demo/apiClient.ts';
import { freePort } from '../../embedded/ports.ts';
import { type EmbeddedRuntime, startEmbedded } from '../../embedded/runtime.ts';
import { accountRequest } from '../stories/embedded.ts';

/** The examples of docs/flows.md that need a running installation, one after the other; after each, security approves. */

const root = fileURLToPath(new URL('../..', import.meta.url));
const stateDir = mkdtempSync(join(tmpdir(), 'tenure-publishing-'));
const directory = mkdtempSync(join(tmpdir(), 'tenure-publishing-page-'));
let runtime: EmbeddedRuntime;

beforeAll(async () => {
  runtime = await startEmbedded({ stateDir, leaseSeconds: 10, ports: { api: await freePort() } });
  symlinkSync(join(root, 'flows'), join(directory, 'flows'));
  const requester = apiClient(runtime.apiUrl, await runtime.token('requester'));
  const account = accountRequest({ environment: 'staging' });
  await waitFor(requester, (await requester.post<RequestView>('/v1/identities', account)).id, ['completed']);
}, 120_000);
afterAll(async () => {
  await runtime?.stop();
  for (const made of [stateDir, directory]) rmSync(made, { recursive: true, force: true });
});

test('docs/flows.md shows what plan, apply, rollback, record and recover print', { timeout: 240_000 }, async () => {
  const page = readFileSync(join(root, 'docs/flows.md'), 'utf8');
  const examples = [...page.matchAll(/^```console installation\n(.*?)^```$/gms)].map(([, text = '']) => text);
  expect(examples.length).toBeGreaterThan(0);
  for (const text of examples) {
    const lines = text.split('\n');
    const commands = lines.filter((line) => line.startsWith('$ ')).map((line) => line.slice(2));
    const shown = lines.filter((line) => !line.startsWith('$ ')).join('\n');
    expect(comparable(await bash(commands.join('\n'))), commands.join('\n')).toBe(comparable(shown));
    await securityApproves();
  }
});

async function securityApproves(): Promise<void> {
  const author = apiClient(runtime.apiUrl, await runtime.token('flow-author'));
  const { items } = await author.get<{ items: RequestView[] }>('/v1/requests?kind=publication&state=awaiting-approval');
  for (const { id } of items) {
    for (const person of ['security-1', 'security-2']) {
      const { state } = await author.get<RequestView>(`/v1/requests/${id}`);
      if (state === 'awaiting-approval') await approve(apiClient(runtime.apiUrl, await runtime.token(person)), id);
    }
    await waitFor(author, id, ['completed']);
  }
}

/** What differs from one installation to the next: ids, digests, keys, instants, and where it listens. */
function comparable(output: string): string {
  return output
    .replaceAll(/127\.0\.0\.1:\d+/g, '<address>')
    .replaceAll(/\b[0-9a-f]{12,64}\b/g, '<digest>')
    .replaceAll(/\b[a-z2-7]{26}\b/g, '<id>')
    .replaceAll(/\d{4}-\d{2}-\d{2}T[\d:.]+Z/g, '<instant>')
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
    .trim();
}

async function bash(commands: string): Promise<string> {
  const tenure = `tenure() { "${process.execPath}" "${join(root, 'cli/main.ts')}" "$@"; }`;
  const child = spawn('bash', ['-c', `${tenure}\n${commands}`], {
    cwd: directory,
    env: {
      ...process.env,
      NO_COLOR: '1',
      TENURE_STATE_DIR: stateDir,
      TENURE_URL: runtime.apiUrl,
      TENURE_CONFIG: join(stateDir, 'tenure.yaml'),
    },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  await new Promise((resolve) => child.once('close', resolve));
  return output;
}
