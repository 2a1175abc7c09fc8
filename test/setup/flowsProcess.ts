import { spawn } from 'node:child_process';
import { join } from 'node:path';

const cli = join(import.meta.dirname, '../../cli/main.ts');

/** `tenure flows …` as a process of its own, in a directory with a worker's tenure.yaml, on the ledger of an installation. */
export async function flowsProcess(
  { cwd, databaseUrl }: { cwd: string; databaseUrl: string },
  args: readonly string[],
): Promise<{ output: string; error: string; exitCode: number | null }> {
  const child = spawn(process.execPath, [cli, 'flows', ...args], {
    cwd,
    env: { PATH: process.env['PATH'], NO_COLOR: '1', DATABASE_URL: databaseUrl },
  });
  let [output, error] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (error += chunk));
  const exitCode = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { output, error, exitCode };
}
