import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterEach, beforeEach, vi } from 'vitest';
import { registerFlows } from '../../cli/flows.ts';

/** `tenure flows` in this process, and a directory of the test's own for its files, both for the file that imports this. */

export let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tenure-flows-'));
});
afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
  rmSync(directory, { recursive: true });
});

export function fileWith(source: string | Uint8Array, name = 'sound.flow.yaml'): string {
  const file = join(directory, name);
  writeFileSync(file, source);
  return file;
}

/** @throws CommanderError on a command line that is not understood, in place of ending the process */
export async function run(...argv: string[]): Promise<{ output: string; exitCode: number }> {
  const written: string[] = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    written.push(String(chunk));
    return true;
  });
  const program = new Command('tenure').exitOverride();
  registerFlows(program);
  for (const flows of program.commands) for (const command of flows.commands) command.exitOverride();
  process.exitCode = 0;
  await program.parseAsync(['flows', ...argv], { from: 'user' });
  return { output: written.join(''), exitCode: Number(process.exitCode) };
}
