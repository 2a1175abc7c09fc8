import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePort } from '../../embedded/ports.ts';
import { type EmbeddedRuntime, startEmbedded } from '../../embedded/runtime.ts';

/** docs/step-up.md in one shell, from its first line to its last, on an installation of its own. */

const root = fileURLToPath(new URL('../..', import.meta.url));
const stateDir = mkdtempSync(join(tmpdir(), 'tenure-step-up-'));
const directory = mkdtempSync(join(tmpdir(), 'tenure-step-up-page-'));
let runtime: EmbeddedRuntime;

beforeAll(async () => {
  runtime = await startEmbedded({ stateDir, leaseSeconds: 10, ports: { api: await freePort() } });
}, 120_000);
afterAll(async () => {
  await runtime?.stop();
  for (const made of [stateDir, directory]) rmSync(made, { recursive: true, force: true });
});

test('docs/step-up.md shows what its commands print', { timeout: 240_000 }, async () => {
  const page = readFileSync(join(root, 'docs/step-up.md'), 'utf8');
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const [functions = ''] = /^ask\(\) \{.*?^field\(\) .*?$/ms.exec(readme) ?? [];
  const [decide = ''] = /(?<=^```bash\n).*?(?=^```$)/ms.exec(page) ?? [];
  const examples = [...page.matchAll(/^```console\n(.*?)^```$/gms)].map(([, text = '']) => text);
  expect(examples.length).toBeGreaterThan(5);
  const marker = '=== the next example ===';
  const commands = examples.map((text) => [...text.matchAll(/^[$>] (.*)$/gm)].map(([, line]) => line).join('\n'));
  const printed = (await bash([functions, decide, ...commands.map((each) => `${each}\necho '${marker}'`)].join('\n')))
    .split(`${marker}\n`)
    .map(comparable);
  const shown = examples.map((text) => comparable(text.replaceAll(/^[$>] .*\n/gm, '')));
  expect(printed).toEqual([...shown, '']);
});

/** What differs from one installation to the next: ids, instants, and where it listens. */
function comparable(output: string): string {
  return output
    .replaceAll(/127\.0\.0\.1:\d+/g, '<address>')
    .replaceAll(/\b[a-z2-7]{26}\b/g, '<id>')
    .replaceAll(/\d{4}-\d{2}-\d{2}T[\d:.]+Z/g, '<instant>')
    .replaceAll(/[ ]+$/gm, '')
    .trim();
}

async function bash(script: string): Promise<string> {
  const tenure = `npx() { "\${@}"; }\ntenure() { "${process.execPath}" "${join(root, 'cli/main.ts')}" "$@"; }`;
  const child = spawn('bash', [], {
    cwd: directory,
    env: {
      PATH: `${join(process.execPath, '..')}:${process.env['PATH'] ?? ''}`,
      NO_COLOR: '1',
      TENURE_STATE_DIR: stateDir,
      TENURE_URL: runtime.apiUrl,
    },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  child.stdin.end(`${tenure}\n${script}`);
  await new Promise((resolve) => child.once('close', resolve));
  return output;
}
