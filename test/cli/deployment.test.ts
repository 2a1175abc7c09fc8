import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { deploymentVersion } from '../../worker/deploymentVersion.ts';
import { eventually } from '../setup/eventually.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { startBuild } from '../worker/versionedWorkers.ts';

const { buildId: own } = deploymentVersion('tenure');
let installation: TestInstallation;
let directory: string;

beforeAll(async () => {
  installation = await testInstallation();
  directory = mkdtempSync(join(tmpdir(), 'tenure-deployment-'));
  const { address, namespace } = installation.place.temporal;
  writeFileSync(
    join(directory, 'tenure.yaml'),
    JSON.stringify({ database: { env: 'UNUSED' }, temporal: { address, namespace }, keys: { directory: 'keys' } }),
  );
});
afterAll(async () => {
  await installation.close();
  rmSync(directory, { recursive: true });
});

async function deployment(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const main = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));
  const { TENURE_CONFIG: _, ...env } = process.env;
  const child = spawn(process.execPath, [main, 'deployment', ...args], {
    cwd: directory,
    env: { ...env, NO_COLOR: '1' },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => (stdout += String(chunk)));
  child.stderr.on('data', (chunk) => (stderr += String(chunk)));
  const [code] = await once(child, 'close');
  return { code, stdout, stderr };
}

test('an operator upgrades: looks, moves the work to this release, sees the older one drain, and can go back', {
  timeout: 180_000,
}, async () => {
  const stopOlder = await startBuild(installation, 'older');
  expect(await deployment('make-current', 'older')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^Version older is current: it gets the work of deployment tenure in namespace t-/),
  });

  const early = await deployment('make-current', '--wait', '0');
  expect(early).toMatchObject({ code: 69, stdout: '' });
  expect(early.stderr).toContain(`Version ${own} was not made current`);
  expect(early.stderr).toContain('Start its workers, then repeat this.');

  const stopOwn = await startBuild(installation, own);
  const before = await deployment('show');
  expect(before.stdout).toMatch(/^older +current .* 1 /m);
  expect(before.stdout).toContain('`tenure deployment make-current`');

  const moved = await deployment('make-current', '--json');
  expect(JSON.parse(moved.stdout)).toMatchObject({
    currentBuildId: own,
    thisBuildId: own,
    versions: expect.arrayContaining([
      expect.objectContaining({ buildId: own, status: 'current', pollers: 1 }),
      expect.objectContaining({ buildId: 'older', status: expect.stringMatching(/^drain(ing|ed)$/) }),
    ]),
  });
  const shown = await deployment('show');
  expect(shown.stdout).toMatch(new RegExp(`^${own} +current .* this release`, 'm'));
  expect(shown.stdout).toMatch(/Keep the workers of draining versions|needed no more/);

  expect(await deployment('make-current', 'older')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^Version older is current/),
  });
  await stopOlder();
  await stopOwn();
});

test('a release from before versions gets the work back when its operator says so', { timeout: 120_000 }, async () => {
  const stop = await startBuild(installation, undefined);
  const back = await eventually(async () => {
    const answer = await deployment('make-current', '--unversioned');
    expect(answer).toMatchObject({ code: 0, stderr: '' });
    return answer;
  });
  expect(back.stdout).toMatch(/^No version is current: unversioned workers get the work/);
  expect(back.stdout).toMatch(/^unversioned +current +1/m);
  await stop();
});

test('a wrong command line, a missing configuration and a Temporal that does not answer each say so', async () => {
  expect(await deployment('make-current', 'older', '--unversioned')).toMatchObject({ code: 2, stdout: '' });
  expect(await deployment('make-current', '--wait', 'long')).toMatchObject({ code: 2, stdout: '' });
  expect(await deployment('show', '--config', 'nowhere.yaml')).toMatchObject({ code: 78, stdout: '' });
  const file = join(directory, 'away.yaml');
  writeFileSync(
    file,
    JSON.stringify({ database: { env: 'UNUSED' }, temporal: { address: '127.0.0.1:1' }, keys: { directory: 'keys' } }),
  );
  const away = await deployment('show', '--config', file);
  expect(away).toMatchObject({ code: 69, stdout: '' });
  expect(away.stderr).toContain('Temporal at 127.0.0.1:1 does not answer');
});
