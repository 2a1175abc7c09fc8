import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync } from 'node:fs';

/** The operating-system user that PostgreSQL runs as when we are root, which it refuses to be. */
export interface UnprivilegedUser {
  readonly uid: number;
  readonly gid: number;
}

const accountName = 'postgres';

/**
 * Undefined when we are not root: then everything runs as ourselves. For root, the system account `postgres`, made if
 * the machine has none.
 * @throws Error if root may not make one
 */
export function unprivilegedUser(): UnprivilegedUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const known = lookUp();
  if (known !== undefined) return known;
  const made = spawnSync(
    'useradd',
    ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', accountName],
    {
      encoding: 'utf8',
    },
  );
  const user = lookUp();
  if (user !== undefined) return user;
  throw new Error(
    `PostgreSQL refuses to run as root, this machine has no account "${accountName}", and useradd did not make one ` +
      `(${made.error?.message ?? made.stderr.trim()}). Make that account, or start Tenure as an ordinary user.`,
  );
}

/** Whether this user may enter the directory or run the file, asked of the operating system itself. */
export function canReach(user: UnprivilegedUser, path: string): boolean {
  return spawnSync('/bin/sh', ['-c', 'test -x "$0"', path], { cwd: '/', uid: user.uid, gid: user.gid }).status === 0;
}

/** Lets this user, and nobody else, pass through a directory of ours: 0710, its group. */
export function letPass(user: UnprivilegedUser, directory: string): void {
  chownSync(directory, -1, user.gid);
  chmodSync(directory, 0o710);
}

function lookUp(): UnprivilegedUser | undefined {
  const id = (flag: string) => {
    const answer = spawnSync('id', [flag, accountName], { encoding: 'utf8' });
    return answer.status === 0 ? Number.parseInt(answer.stdout, 10) : undefined;
  };
  const uid = id('-u');
  const gid = id('-g');
  return uid === undefined || gid === undefined ? undefined : { uid, gid };
}

/**
 * Under root, lets PostgreSQL's account pass through a directory that is ours alone, so that its cluster can live below
 * it. Otherwise does nothing.
 */
export function admitDatabaseUser(directory: string): void {
  const user = unprivilegedUser();
  if (user !== undefined) letPass(user, directory);
}
