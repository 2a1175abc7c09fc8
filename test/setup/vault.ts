import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { cacheDirectory } from '../../embedded/cacheDirectory.ts';
import { freePort } from '../../embedded/ports.ts';
import { readyOrFailed, type ServerProcess, startServerProcess } from '../../embedded/serverProcess.ts';

/** A real Vault for the run, with Tenure's own login as docs/stores.md describes it. */
export interface VaultServer {
  readonly address: string;
  readonly rootToken: string;
  /** A KV version 2 engine. */
  readonly mount: string;
  readonly prefix: string;
  readonly approle: { readonly mount: string; readonly roleId: string; readonly secretId: string };
}

const source = fileURLToPath(new URL('../vault-server/', import.meta.url));

/**
 * Builds the server if this version of it was never built on this machine, and starts it with an empty KV engine, an
 * AppRole and its policy.
 */
export async function startVault(say: (text: string) => void): Promise<{ vault: VaultServer; stop(): Promise<void> }> {
  const command = await vaultBinary(say);
  const listen = `127.0.0.1:${await freePort()}`;
  const { server, rootToken } = await launchVault({ command, listen });
  const address = `http://${listen}`;
  return { vault: await withTenureLogin({ address, rootToken }), stop: () => server.stop() };
}

/**
 * Starts the server and waits until it takes its root's calls.
 * @param directory its storage, which outlives it; in memory when left out
 * @throws ServerFailed
 */
export async function launchVault({
  command,
  listen,
  directory,
}: {
  command: string;
  listen: string;
  directory?: string;
}): Promise<{ server: ServerProcess; rootToken: string }> {
  const args = directory === undefined ? [listen] : [listen, directory];
  const server = await startServerProcess({ name: 'Vault', command, args });
  const address = `http://${listen}`;
  // It prints the token on a line of its own; what it logs meanwhile may stand before that line or after it.
  const printed = Promise.withResolvers<string>();
  server.onLine((line) => {
    if (line.startsWith('hvs.')) printed.resolve(line);
  });
  await readyOrFailed(server, answers(address, server), 30_000);
  await readyOrFailed(
    server,
    printed.promise.then((token) => knowsItsRoot({ address, rootToken: token }, server)),
    30_000,
  );
  return { server, rootToken: await printed.promise };
}

async function answers(address: string, server: ServerProcess): Promise<void> {
  while (!server.hasEnded()) {
    const isUp = await fetch(`${address}/v1/sys/health`).then(
      (response) => response.ok,
      () => false,
    );
    if (isUp) return;
    await delay(50);
  }
}

/** Vault calls itself healthy while its work after the unsealing still runs: until that is done it knows no token's namespace. */
async function knowsItsRoot(
  { address, rootToken }: Pick<VaultServer, 'address' | 'rootToken'>,
  server: ServerProcess,
): Promise<void> {
  while (!server.hasEnded()) {
    const response = await fetch(`${address}/v1/sys/mounts`, { headers: { 'x-vault-token': rootToken } });
    await response.arrayBuffer();
    if (response.ok) return;
    await delay(50);
  }
}

/** Any call of Vault's API, as root. @returns the answer's `data` or `auth` */
export async function asRoot(
  { address, rootToken }: Pick<VaultServer, 'address' | 'rootToken'>,
  method: string,
  path: string,
  body?: unknown,
): Promise<Record<string, unknown>> {
  const response = await fetch(`${address}/v1/${path}`, {
    method,
    headers: { 'x-vault-token': rootToken, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok && response.status !== 404)
    throw new Error(`Vault answered ${response.status} to ${method} ${path}: ${text}`);
  const answer = z
    .object({ data: z.record(z.string(), z.unknown()).nullish() })
    .safeParse(text === '' ? {} : JSON.parse(text));
  return answer.data?.data ?? {};
}

async function withTenureLogin(server: Pick<VaultServer, 'address' | 'rootToken'>): Promise<VaultServer> {
  const [mount, prefix] = ['secret', 'tenure'];
  await mountEngines(server, mount);
  return makeTenureLogin(server, { mount, prefix });
}

/** An empty KV version 2 engine, and AppRole. Once per server. */
export async function mountEngines(server: Pick<VaultServer, 'address' | 'rootToken'>, mount: string): Promise<void> {
  await asRoot(server, 'POST', `sys/mounts/${mount}`, { type: 'kv', options: { version: '2' } });
  await asRoot(server, 'POST', 'sys/auth/approle', { type: 'approle' });
}

/** A login that may use one folder of the engine, and nothing else. The role and its policy are called as the folder. */
export async function makeTenureLogin(
  server: Pick<VaultServer, 'address' | 'rootToken'>,
  { mount, prefix }: Pick<VaultServer, 'mount' | 'prefix'>,
): Promise<VaultServer> {
  await asRoot(server, 'PUT', `sys/policies/acl/${prefix}`, {
    policy: [
      `path "${mount}/data/${prefix}/*" { capabilities = ["create", "read", "update"] }`,
      `path "${mount}/metadata/${prefix}/*" { capabilities = ["read", "list"] }`,
      `path "${mount}/destroy/${prefix}/*" { capabilities = ["update"] }`,
    ].join('\n'),
  });
  await asRoot(server, 'POST', `auth/approle/role/${prefix}`, {
    token_policies: prefix,
    token_ttl: '20m',
    token_max_ttl: '1h',
  });
  const { role_id } = await asRoot(server, 'GET', `auth/approle/role/${prefix}/role-id`);
  const { secret_id } = await asRoot(server, 'POST', `auth/approle/role/${prefix}/secret-id`, {});
  return {
    ...server,
    mount,
    prefix,
    approle: { mount: 'approle', roleId: String(role_id), secretId: String(secret_id) },
  };
}

/** The server's program, from the cache, or built into it: some minutes on a machine that never compiled Vault. */
export async function vaultBinary(say: (text: string) => void): Promise<string> {
  const hash = createHash('sha256');
  for (const file of ['main.go', 'go.mod', 'go.sum']) hash.update(readFileSync(join(source, file)));
  const directory = join(cacheDirectory(), `vault-server-${hash.digest('hex').slice(0, 16)}`);
  const binary = join(directory, 'vault-server');
  if (existsSync(binary)) return binary;

  mkdirSync(cacheDirectory(), { recursive: true });
  const draft = mkdtempSync(join(cacheDirectory(), 'vault-server-draft-'));
  try {
    await build(join(draft, 'vault-server'), say);
    // Whoever built it at the same time was as good: a directory appears whole or not at all.
    if (!existsSync(binary)) renameSync(draft, directory);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return binary;
}

async function build(target: string, say: (text: string) => void): Promise<void> {
  say("Building Vault's core for the tests: once per machine, about four minutes.");
  const startedAt = Date.now();
  const progress = setInterval(
    () => say(`… still building Vault, ${Math.round((Date.now() - startedAt) / 1000)} s`),
    20_000,
  );
  const child = spawn('go', ['build', '-trimpath', '-o', target, '.'], {
    cwd: source,
    env: { ...process.env, CGO_ENABLED: '0' },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const ended = Promise.withResolvers<number | null>();
  child.once('error', () =>
    ended.reject(
      new Error(
        "The tests with a real Vault build it with Go, and there is no `go` on the PATH. Install Go 1.26 or newer (https://go.dev/dl/, or your system's package golang), then run them again.",
      ),
    ),
  );
  child.once('exit', ended.resolve);
  try {
    const code = await ended.promise;
    if (code !== 0)
      throw new Error(
        `Vault could not be built: \`go build\` in test/vault-server ended with ${code}. Its own words are above; it needs a Go module proxy within reach.`,
      );
  } finally {
    clearInterval(progress);
  }
}
