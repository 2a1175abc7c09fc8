import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { apiClient, approve, type RequestView, waitFor } from '../../embedded/demo/apiClient.ts';
import { freePort } from '../../embedded/ports.ts';
import { accountRequest } from '../stories/embedded.ts';
import { present, previousRelease } from './release.ts';

const stateDir = mkdtempSync(join(tmpdir(), 'tenure-upgraded-clone-'));
const env: NodeJS.ProcessEnv = { ...process.env, TENURE_STATE_DIR: stateDir, NO_COLOR: '1' };
const started: ChildProcess[] = [];

afterAll(() => {
  for (const child of started) child.kill('SIGKILL');
  rmSync(stateDir, { recursive: true, force: true });
});

/** `tenure up` of one release, ready. Returns how to end it with Ctrl-C. */
async function up({ directory }: { directory: string }): Promise<() => Promise<void>> {
  const child = spawn(process.execPath, [join(directory, 'cli/tenure.js'), 'up'], { env });
  started.push(child);
  const closed = once(child, 'close');
  let output = '';
  const ready = new Promise<void>((resolve) => {
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => {
        output += String(chunk);
        if (output.includes('Tenure is ready')) resolve();
      });
  });
  await Promise.race([ready, closed.then(() => Promise.reject(new Error(`tenure up ended:\n${output}`)))]);
  return async () => {
    child.kill('SIGINT');
    expect(await closed).toEqual([0, null]);
  };
}

async function tokenOf(person: string): Promise<string> {
  const child = spawn(process.execPath, [join(present.directory, 'cli/tenure.js'), 'token', person], { env });
  let token = '';
  child.stdout.on('data', (chunk) => (token += String(chunk)));
  await once(child, 'close');
  return token.trim();
}

test('npm start on an upgraded clone goes on with what the release before left, and no operator is asked', {
  timeout: 300_000,
}, async () => {
  const previous = await previousRelease();
  onTestFinished(() => previous.remove());
  const port = await freePort();
  env['TENURE_PORT'] = String(port);
  const url = `http://127.0.0.1:${port}`;
  const stopPrevious = await up(previous);
  const requester = apiClient(url, await tokenOf('requester'));
  const { id } = await requester.post<RequestView>('/v1/identities', accountRequest());
  await approve(apiClient(url, await tokenOf('security-1')), id);
  await stopPrevious();

  const stop = await up(present);
  await approve(apiClient(url, await tokenOf('security-2')), id);
  await waitFor(requester, id, ['completed']);
  await stop();
});
