import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { decodeJwt } from 'jose';
import { expect, onTestFinished, test } from 'vitest';
import { startIdentityProvider } from '../../embedded/identityProvider.ts';
import { freePort } from '../../embedded/ports.ts';
import { temporaryDirectory } from '../embedded/stateDirectory.ts';

const entry = fileURLToPath(new URL('../../cli/tenure.js', import.meta.url));

interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

function tenure(
  args: string[],
  environment: NodeJS.ProcessEnv = {},
  nodeOptions: string[] = [],
  input = '',
): Promise<Outcome> {
  const env = { ...process.env, TENURE_STATE_DIR: temporaryDirectory(), NO_COLOR: '1', ...environment };
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [...nodeOptions, entry, ...args], { env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
    child.stdin?.end(input);
  });
}

test('help and version succeed, and help lists every exit code', async () => {
  const help = await tenure(['--help']);
  expect(help.code).toBe(0);
  for (const code of ['0', '1', '2', '69', '70', '75', '78'])
    expect(help.stdout).toMatch(new RegExp(`^ {2}${code} `, 'm'));
  expect(await tenure(['--version'])).toEqual({ code: 0, stdout: '0.1.0\n', stderr: '' });
});

test('a wrong command line exits with 2 and one message on stderr', async () => {
  for (const args of [
    ['nonsense'],
    ['token'],
    ['token', 'owner', '--pipeline', 'deploy'],
    ['token', 'owner', '--triggered-by', 'requester'],
    ['token', '--pipeline', 'deploy', '--for-agents'],
    ['token', 'owner', 'more'],
    ['completion', 'powershell'],
  ]) {
    const { code, stdout, stderr } = await tenure(args);
    expect({ args, code, stdout }).toEqual({ args, code: 2, stdout: '' });
    expect(stderr).not.toBe('');
    expect(stderr).not.toContain('    at ');
  }
});

test('tenure token prints the token and nothing else, and an unknown person gets the list of people', async () => {
  const stateDirectory = temporaryDirectory();
  const provider = await startIdentityProvider({ stateDirectory, port: await freePort() });
  onTestFinished(() => provider.stop());
  const environment = { TENURE_STATE_DIR: stateDirectory };

  const person = await tenure(['token', 'auditor'], environment);
  expect(person).toMatchObject({ code: 0, stderr: '' });
  expect(decodeJwt(person.stdout.trimEnd())).toMatchObject({ sub: 'auditor@tenure.example', aud: 'tenure' });

  const pipeline = await tenure(['token', '--pipeline', 'deploy', '--triggered-by', 'requester'], environment);
  expect(decodeJwt(pipeline.stdout.trimEnd())).toMatchObject({
    sub: 'pipeline:deploy',
    triggered_by: 'requester@tenure.example',
  });

  const forAgents = await tenure(['token', 'requester', '--for-agents'], environment);
  expect(decodeJwt(forAgents.stdout.trimEnd())).toMatchObject({
    aud: 'tenure-for-agents',
    email: 'requester@tenure.example',
  });

  const nobody = await tenure(['token', 'nobody'], environment);
  expect(nobody).toMatchObject({ code: 2, stdout: '' });
  expect(nobody.stderr).toContain('There is no person "nobody". The people: owner, requester, security-1');
});

test("tenure agent reads a person's token from a file or its input, and takes none on the command line", async () => {
  const asked: string[] = [];
  const api = createServer(async (req, res) => {
    asked.push(JSON.stringify(await json(req)));
    res.writeHead(403, { 'content-type': 'application/problem+json' });
    res.end(JSON.stringify({ type: 'urn:tenure:problem:forbidden', detail: 'Not here.' }));
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void api.close());
  await once(api, 'listening');
  const directory = temporaryDirectory();
  const environment = {
    TENURE_URL: `http://127.0.0.1:${(api.address() as AddressInfo).port}`,
    TENURE_AGENT: 'a'.repeat(26),
    TENURE_AGENT_KEYS: join(directory, 'keys'),
  };
  await tenure(['agent', 'new-keys'], environment);
  const ask = ['agent', 'ask', 'search', 'read', '--resource', 'docs', '--workspace', 'research', '--reason', 'it'];
  const file = join(directory, 'token');
  writeFileSync(file, 'the-token\n');
  for (const [source, input] of [
    [file, ''],
    ['-', 'the-token\n'],
  ] as const)
    expect((await tenure([...ask, '--for-token-file', source], environment, [], input)).stderr).toContain('Not here.');
  expect(asked.map((body) => JSON.parse(body).onBehalfOf)).toEqual([{ token: 'the-token' }, { token: 'the-token' }]);

  for (const wrong of [
    ['--for-token', 'the-token'],
    ['--for-token-file', join(directory, 'none')],
    ['--for-token-file', file, '--for', 'ann@example.com'],
  ])
    expect((await tenure([...ask, ...wrong], environment)).code).toBe(2);
  expect(asked).toHaveLength(2);
});

test('tenure token says how to start Tenure where it never ran, and where it does not run now', async () => {
  const never = await tenure(['token', 'owner']);
  expect(never).toMatchObject({ code: 69, stdout: '' });
  expect(never.stderr).toContain('npm start');

  const stateDirectory = temporaryDirectory();
  const provider = await startIdentityProvider({ stateDirectory, port: await freePort() });
  await provider.stop();
  const stopped = await tenure(['token', 'owner'], { TENURE_STATE_DIR: stateDirectory });
  expect(stopped).toMatchObject({ code: 69, stdout: '' });
  expect(stopped.stderr).toContain('npm start');
});

test('tenure up refuses a taken port by name, with exit code 78', async () => {
  const port = await freePort();
  const squatter = createServer().listen(port, '127.0.0.1');
  onTestFinished(() => {
    squatter.close();
  });
  const { code, stderr } = await tenure(['up'], { TENURE_PORT: String(port) });
  expect(stderr).toBe(
    `Port ${port} on 127.0.0.1, wanted for the API, is in use by another program. Stop that program, or set TENURE_PORT to a free port.\n`,
  );
  expect(code).toBe(78);
});

test('tenure doctor answers as data with --json, and exits with 1 when something is wrong', async () => {
  const environment = { TENURE_PORT: String(await freePort()) };
  const well = await tenure(['doctor', '--json'], environment);
  expect(well).toMatchObject({ code: 0, stderr: '' });
  const checks: { check: string; result: string }[] = JSON.parse(well.stdout);
  expect(checks.filter(({ result }) => result === 'wrong')).toEqual([]);
  expect(checks.map(({ check }) => check)).toEqual(
    expect.arrayContaining(['Node', 'PostgreSQL', 'Temporal', 'running']),
  );

  const ill = await tenure(['doctor'], { ...environment, TENURE_TEMPORAL_BINARY: '/nonexistent/temporal' });
  expect(ill.code).toBe(1);
  expect(ill.stdout.split('\n')[0]).toBe('1 wrong.');
  expect(ill.stdout).toContain('TENURE_TEMPORAL_BINARY must name a current Temporal CLI');
});

test('on an older Node the command runs on the Node that npm brought along, with the same arguments and exit code', async () => {
  const preload = ['--require', fileURLToPath(new URL('./olderNode.cjs', import.meta.url))];
  expect(await tenure(['--version'], {}, preload)).toEqual({ code: 0, stdout: '0.1.0\n', stderr: '' });
  expect((await tenure(['nonsense'], {}, preload)).code).toBe(2);
});

test('bash completes commands, then options and choices of the command typed', async () => {
  const { stdout: script } = await tenure(['completion', 'bash']);
  const complete = (...words: string[]) =>
    new Promise<string[]>((resolve, reject) => {
      const typed = `COMP_WORDS=(tenure ${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}`;
      const command = `${script}\n${typed}; _tenure; printf '%s\\n' "\${COMPREPLY[@]}"`;
      execFile('bash', ['-c', command], (error, stdout) =>
        error === null ? resolve(stdout.trim().split('\n')) : reject(error),
      );
    });
  expect(await complete('to')).toEqual(['token']);
  expect(await complete('token', '--pi')).toEqual(['--pipeline']);
  expect(await complete('completion', '')).toEqual(expect.arrayContaining(['bash', 'zsh', 'fish']));
  expect(await complete('doctor', '--j')).toEqual(['--json']);
});
