import { spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(join(root, 'docs/flows.md'), 'utf8');
const blocks = [...page.matchAll(/^```(\w+)(?: (\S+))?\n(.*?)^```$/gms)].map(([, language, file, text = '']) => ({
  language,
  file,
  text,
}));
const examples = blocks
  // Those of an installation are publishing.test.ts's.
  .filter(({ language, file }) => language === 'console' && file !== 'installation')
  .map(({ text }) => ({ text, command: text.split('\n').findLast((line) => line.startsWith('$ ')) }));

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tenure-flows-page-'));
  const flow = blocks.find(({ language }) => language === 'yaml');
  writeFileSync(join(directory, 'production-bots.flow.yaml'), flow?.text ?? '');
  for (const { language, file, text } of blocks)
    if (language === 'yaml' && file !== undefined) writeFileSync(join(directory, file), text);
  symlinkSync(join(root, 'flows'), join(directory, 'flows'));
  copyFileSync(join(root, 'examples/flows/requests.jsonl'), join(directory, 'requests.jsonl'));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Spaces that end a line are a table's, not the page's. */
const comparable = (output: string): string =>
  output
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
    .trim();

test.each(examples)('docs/flows.md shows what its commands print: $command', async ({ text }) => {
  const lines = text.split('\n');
  const commands = lines.filter((line) => line.startsWith('$ ')).map((line) => line.slice(2));
  const shown = lines.filter((line) => !line.startsWith('$ ')).join('\n');
  expect(comparable(await bash(commands.join('\n')))).toBe(comparable(shown));
});

async function bash(commands: string): Promise<string> {
  const tenure = `tenure() { "${process.execPath}" "${join(root, 'cli/main.ts')}" "$@"; }`;
  const child = spawn('bash', ['-c', `${tenure}\n${commands}`], {
    cwd: directory,
    env: { ...process.env, NO_COLOR: '1' },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  await new Promise((resolve) => child.once('close', resolve));
  return output;
}
