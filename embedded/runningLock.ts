import { randomBytes } from 'node:crypto';
import { linkSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { readFileIfThere } from './privateFiles.ts';
import { startOf } from './processIdentity.ts';

const Holder = z.strictObject({ pid: z.int(), start: z.string(), apiUrl: z.string() });
export type Holder = z.output<typeof Holder>;

/** Another start runs on the same state. Nothing was touched. */
export class AlreadyRunning extends Error {
  override readonly name = 'AlreadyRunning';
  constructor({ pid, apiUrl }: Holder, stateDirectory: string) {
    super(
      `Tenure is already running on ${stateDirectory}: process ${pid}, API ${apiUrl}. ` +
        `Use that one, stop it (Ctrl-C in its terminal, or kill ${pid}), or set TENURE_STATE_DIR for a second one.`,
    );
  }
}

/**
 * Takes the lock of a state directory for this process. A lock counts only while its holder lives, so a crash leaves
 * none behind.
 * @returns gives the lock back
 * @throws AlreadyRunning naming the process and its address
 */
export function takeLock(
  path: string,
  { apiUrl, stateDirectory }: { apiUrl: string; stateDirectory: string },
): () => void {
  const mine = JSON.stringify({ pid: process.pid, start: startOf(process.pid) ?? '', apiUrl });
  while (!createOnly(path, mine)) {
    const theirs = readFileIfThere(path);
    if (theirs === undefined) continue;
    const holder = liveHolder(theirs);
    if (holder !== undefined) throw new AlreadyRunning(holder, stateDirectory);
    removeStale(path, theirs);
  }
  return () => {
    if (readFileIfThere(path) === mine) rmSync(path);
  };
}

/** Who holds the lock now, if anybody alive. */
export function lockHolder(path: string): Holder | undefined {
  const content = readFileIfThere(path);
  return content === undefined ? undefined : liveHolder(content);
}

function liveHolder(content: string): Holder | undefined {
  const holder = Holder.safeParse(parseJson(content));
  return holder.success && startOf(holder.data.pid) === holder.data.start ? holder.data : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not a lock of ours, so nobody holds it.
    return undefined;
  }
}

/** The file appears with its content: nobody can see it half written. */
function createOnly(path: string, content: string): boolean {
  const draft = `${path}.${randomBytes(4).toString('hex')}`;
  writeFileSync(draft, content, { mode: 0o600 });
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draft);
  }
}

/** Two starts may find the same stale lock: whoever moved a fresh one away by mistake puts it back. */
function removeStale(path: string, stale: string): void {
  const aside = `${path}.${randomBytes(4).toString('hex')}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
    throw error;
  }
  if (readFileIfThere(aside) === stale) rmSync(aside);
  else renameSync(aside, path);
}
