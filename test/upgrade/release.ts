import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { api, type TenureProcess, worker } from '../../embedded/tenureProcesses.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));

/** A release whose processes can be started: the recorded one, or this one. */
export interface Release {
  readonly directory: string;
  readonly worker: TenureProcess;
  readonly api: TenureProcess;
}

/** The release that is being tested. */
export const present: Release = { directory: root, worker, api };

/** The release that users run before they upgrade to this one (`recordRelease.ts`). */
export const previousVersion = '0.1.0';

/** Unpacks it, with a ledger client of its own schema. It runs on the packages that are installed here. */
export async function previousRelease(): Promise<Release & { remove(): void }> {
  const directory = mkdtempSync(join(tmpdir(), 'tenure-previous-'));
  const archive = fileURLToPath(new URL(`releases/${previousVersion}.tar.gz`, import.meta.url));
  await run('tar', ['-xzf', archive, '-C', directory]);
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
  await run(process.execPath, ['scripts/generateClient.js'], { cwd: directory });
  return {
    directory,
    worker: { ...worker, script: join(directory, 'worker/main.ts') },
    api: { ...api, script: join(directory, 'api/main.ts') },
    remove: () => rmSync(directory, { recursive: true }),
  };
}
