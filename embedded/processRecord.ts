import { z } from 'zod';
import { readFileIfThere, writePrivateFile } from './privateFiles.ts';
import { startOf } from './processIdentity.ts';
import { stopStrayProcess } from './serverProcess.ts';

const Record_ = z.array(z.strictObject({ name: z.string(), pid: z.int(), start: z.string() }));

/** The server processes of one start, on disk, so that the next start can find what a crash left over. */
export interface ProcessRecord {
  /** Notes that this process now serves under this name, in place of any earlier one. */
  note(name: string, pid: number): void;
}

export function processRecord(path: string): ProcessRecord {
  const byName = new Map<string, { name: string; pid: number; start: string }>();
  return {
    note(name, pid) {
      // Gone already: there is nothing to find later.
      byName.set(name, { name, pid, start: startOf(pid) ?? 'ended' });
      writePrivateFile(path, JSON.stringify([...byName.values()]));
    },
  };
}

/**
 * Ends the processes that a killed start left running, and waits until they are gone.
 * @returns their names
 */
export async function stopLeftovers(path: string): Promise<string[]> {
  const content = readFileIfThere(path);
  if (content === undefined) return [];
  const leftovers = Record_.parse(JSON.parse(content)).filter(({ pid, start }) => startOf(pid) === start);
  await Promise.all(
    leftovers.map(({ name, pid }) =>
      stopStrayProcess({ pid, signal: name === 'PostgreSQL' ? 'SIGINT' : 'SIGTERM', graceMs: 15_000 }),
    ),
  );
  return leftovers.map(({ name }) => name);
}
