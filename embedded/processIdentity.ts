import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Whether a process with this id exists, whoever owns it. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it exists and belongs to another user.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
  return !isZombie(pid);
}

/**
 * The command line of a process, its arguments separated by spaces, or undefined if there is none. Ids are reused, so
 * a recorded id counts as ours only if its command line names our files too.
 */
export function commandLine(pid: number): string | undefined {
  if (process.platform === 'linux') {
    const raw = readProcessFile(pid, 'cmdline');
    return raw === undefined || raw === '' ? undefined : raw.replaceAll('\0', ' ').trim();
  }
  const answer = spawnSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8' });
  return answer.status === 0 ? answer.stdout.trim() : undefined;
}

/**
 * When a process began, in words that only compare equal for the same process, or undefined if there is none. With its
 * id this tells it from a later one that got the same id.
 */
export function startOf(pid: number): string | undefined {
  if (!isAlive(pid)) return undefined;
  if (process.platform === 'linux') {
    // proc(5): field 22 is the start in clock ticks after boot; the second field may itself hold spaces and parentheses.
    const stat = readProcessFile(pid, 'stat');
    return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  }
  const answer = spawnSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' });
  return answer.status === 0 ? answer.stdout.trim() : undefined;
}

/** A killed child that nobody has waited for yet still has an id, but runs nothing and holds nothing. */
function isZombie(pid: number): boolean {
  if (process.platform !== 'linux') return false;
  return readProcessFile(pid, 'status')?.match(/^State:\s+Z/m) != null;
}

function readProcessFile(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch (error) {
    // ENOENT and ESRCH: it ended meanwhile.
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH'))
      return undefined;
    throw error;
  }
}
