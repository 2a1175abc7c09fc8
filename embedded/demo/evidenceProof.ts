import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const tenure = fileURLToPath(new URL('../../cli/tenure.js', import.meta.url));

/** Runs `tenure` as a user would. Returns its exit code and what it printed. */
async function runTenure(args: readonly string[], env: NodeJS.ProcessEnv): Promise<{ code: number; output: string }> {
  const child = spawn(process.execPath, [tenure, ...args], { env: { ...process.env, NO_COLOR: '1', ...env } });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode) => resolve(exitCode ?? -1));
  });
  return { code, output: output.trim() };
}

/** Exports the evidence, verifies it, flips one byte of it, and verifies again. @throws when either answer is wrong */
export async function proveEvidence(
  directory: string,
  { url, token }: { url: string; token: string },
): Promise<{ readonly intact: string; readonly flipped: string }> {
  const exported = await runTenure(['evidence', 'export', directory], { TENURE_URL: url, TENURE_TOKEN: token });
  if (exported.code !== 0) throw new Error(`The export failed: ${exported.output}`);
  const intact = await runTenure(['evidence', 'verify', directory], {});
  if (intact.code !== 0) throw new Error(`The export does not verify: ${intact.output}`);
  const file = join(directory, 'entries.jsonl');
  const bytes = await readFile(file);
  const middle = Math.floor(bytes.length / 2);
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
  await writeFile(file, bytes);
  const flipped = await runTenure(['evidence', 'verify', directory], {});
  if (flipped.code !== 1) throw new Error(`One flipped byte was not found: ${flipped.output}`);
  return { intact: firstLine(intact.output), flipped: firstLine(flipped.output) };
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}
