import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { loadKeys } from '../../configuration/keys.ts';
import { approve, type RequestView, waitFor } from '../../embedded/demo/apiClient.ts';
import { accountRequest, openStage } from '../stories/embedded.ts';

const page = readFileSync(fileURLToPath(new URL('../../docs/operating.md', import.meta.url)), 'utf8');

/** The commands of a section, without the indentation of a list. */
function commandsOf(section: string): string[] {
  const [, text = ''] = page.split(`\n## ${section}\n`);
  const [own = ''] = text.split('\n## ');
  return [...own.matchAll(/^( *)```bash\n(.*?)^ *```$/gms)].map(([, indent = '', block = '']) =>
    block.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  );
}

async function bash(script: string, options: { cwd: string; env?: Record<string, string> }): Promise<string> {
  const child = spawn('bash', ['-euo', 'pipefail'], { ...options, env: { ...process.env, ...options.env } });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdin.end(script);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  expect(code, stderr).toBe(0);
  return stdout;
}

test('the commands for an incident work as they stand', { timeout: 180_000 }, async () => {
  const stage = await openStage();
  try {
    const requester = await stage.as('requester');
    const onboard = async (integration: string): Promise<string> => {
      const order = accountRequest({ environment: 'staging', integration, name: `${integration}-service` });
      const { id, identityId } = await requester.post<RequestView>('/v1/identities', order);
      await waitFor(requester, id, ['awaiting-approval', 'completed']);
      const { state } = await requester.get<RequestView>(`/v1/requests/${id}`);
      if (state === 'awaiting-approval') await approve(await stage.as('security-1'), id);
      await waitFor(requester, id, ['completed']);
      return identityId;
    };
    const identity = await onboard('payments');
    const other = await onboard('search');
    const output = await bash(commandsOf('An incident').join('\n'), {
      cwd: tmpdir(),
      env: {
        TENURE_URL: stage.runtime.apiUrl,
        TENURE_TOKEN: await stage.runtime.token('responder'),
        IDENTITY: identity,
        PATH: `${join(process.execPath, '..')}:${process.env['PATH'] ?? ''}`,
      },
    });
    const [reason, state, , usable, entries, stuck] = output.trim().split('\n');
    expect(reason).toBe('incident 42: a leaked token');
    expect(state).toMatch(/^revok(ing|ed)$/);
    expect(usable).toBe('0');
    expect(Number(entries)).toBeGreaterThan(0);
    expect(stuck).toBe('0');
    expect(await stage.loginsAtIssuer(identity)).toEqual([]);
    expect(await stage.loginsAtIssuer(other)).toHaveLength(1);
  } finally {
    await stage.close();
  }
});

test('the commands for changing keys leave a directory that loads, verifies the old and writes with the new', async () => {
  const home = mkdtempSync(join(tmpdir(), 'tenure-keys-'));
  try {
    const directory = join(home, 'keys');
    const before = loadKeys(directory, { create: true });
    const commands = commandsOf('Changing keys');
    expect(commands).toHaveLength(2);
    for (const block of commands) {
      const [learn = '', write = ''] = block.split(/^# Restart .*Then:$/m);
      await bash(learn, { cwd: directory });
      // Between the two, every process writes as before and reads both.
      const between = loadKeys(directory, { create: false });
      expect(between.payload.reading.size + between.decisionVerifying.size).toBeGreaterThan(2);
      await bash(`umask 077\n${write}`, { cwd: directory });
    }
    const after = loadKeys(directory, { create: false });
    expect(after.decisionSigning.keyId).not.toBe(before.decisionSigning.keyId);
    expect([...after.decisionVerifying.keys()].sort()).toEqual(
      [before.decisionSigning.keyId, after.decisionSigning.keyId].sort(),
    );
    expect(after.payload.writing.id).not.toBe(before.payload.writing.id);
    expect([...after.payload.reading.keys()].sort()).toEqual(
      [before.payload.writing.id, after.payload.writing.id].sort(),
    );
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
});
