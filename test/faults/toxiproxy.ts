import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { cacheDirectory } from '../../embedded/cacheDirectory.ts';
import { readyOrFailed, type ServerProcess, startServerProcess } from '../../embedded/serverProcess.ts';
import { quietPort } from './quietPort.ts';

const version = 'v2.12.0';

/** A TCP proxy that can be told to misbehave: https://github.com/Shopify/toxiproxy, its HTTP API. */
export interface Toxiproxy {
  /** A proxy to this port of 127.0.0.1; its own port stays the same until it is removed. */
  link(name: string, upstreamPort: number): Promise<Link>;
  stop(): Promise<void>;
}

export interface Link {
  readonly port: number;
  /** Closes what is open and accepts nothing, until `heal`. */
  cut(): Promise<void>;
  /** Adds a toxic of this type to both directions, until `heal`. */
  poison(type: 'reset_peer' | 'timeout' | 'latency' | 'bandwidth', attributes: Record<string, number>): Promise<void>;
  /** As it was at the beginning. Connections that a toxic had cut off are closed. */
  heal(): Promise<void>;
  remove(): Promise<void>;
}

/** Starts the proxy's server; the first time on a machine it is built with Go. @throws ServerFailed */
export async function startToxiproxy(say: (text: string) => void): Promise<Toxiproxy> {
  const command = await toxiproxyBinary(say);
  const port = await quietPort();
  const server = await startServerProcess({
    name: 'toxiproxy',
    command,
    args: ['-host', '127.0.0.1', '-port', String(port)],
    spawnOptions: { env: { ...process.env, LOG_LEVEL: 'warn' } },
  });
  const address = `http://127.0.0.1:${port}`;
  await readyOrFailed(server, answers(address, server), 30_000);

  async function ask(method: string, path: string, body?: object): Promise<void> {
    const response = await fetch(`${address}${path}`, {
      method,
      signal: AbortSignal.timeout(30_000),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`toxiproxy answered ${response.status} to ${method} ${path}: ${text}`);
  }

  return {
    async link(name, upstreamPort) {
      const own = await quietPort();
      const proxy = { name, listen: `127.0.0.1:${own}`, upstream: `127.0.0.1:${upstreamPort}`, enabled: true };
      await ask('POST', '/proxies', proxy);
      const toxics = new Set<string>();
      const path = `/proxies/${name}`;
      let last: Promise<unknown> = Promise.resolve();
      // One at a time: Toxiproxy never answers again about a link that is mended and poisoned at the same moment.
      const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
        const turn = last.then(work, work);
        last = turn;
        return turn;
      };
      return {
        port: own,
        cut: () => inTurn(() => ask('POST', path, { enabled: false })),
        poison: (type, attributes) =>
          inTurn(async () => {
            for (const stream of ['upstream', 'downstream']) {
              const toxic = `${type}-${stream}`;
              if (toxics.has(toxic)) continue;
              toxics.add(toxic);
              await ask('POST', `${path}/toxics`, { name: toxic, type, stream, toxicity: 1, attributes });
            }
          }),
        heal: () =>
          inTurn(async () => {
            for (const toxic of toxics) await ask('DELETE', `${path}/toxics/${toxic}`);
            toxics.clear();
            await ask('POST', path, { enabled: true });
          }),
        remove: () => inTurn(() => ask('DELETE', path)),
      };
    },
    stop: () => server.stop(),
  };
}

async function answers(address: string, server: ServerProcess): Promise<void> {
  while (!server.hasEnded()) {
    const isUp = await fetch(`${address}/version`).then(
      (response) => response.ok,
      () => false,
    );
    if (isUp) return;
    await delay(20);
  }
}

async function toxiproxyBinary(say: (text: string) => void): Promise<string> {
  const directory = join(cacheDirectory(), `toxiproxy-${version}`);
  const binary = join(directory, 'server');
  if (existsSync(binary)) return binary;
  say(`Building toxiproxy ${version} for the fault harness: once per machine, under a minute.`);
  mkdirSync(cacheDirectory(), { recursive: true });
  const draft = mkdtempSync(join(cacheDirectory(), 'toxiproxy-draft-'));
  try {
    await install(draft);
    // Whoever built it at the same time was as good: a directory appears whole or not at all.
    if (!existsSync(binary)) renameSync(draft, directory);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return binary;
}

async function install(target: string): Promise<void> {
  const ended = Promise.withResolvers<number | null>();
  const child = spawn('go', ['install', `github.com/Shopify/toxiproxy/v2/cmd/server@${version}`], {
    env: { ...process.env, GOBIN: target, CGO_ENABLED: '0' },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  child.once('error', () =>
    ended.reject(
      new Error(
        "The fault harness builds toxiproxy with Go, and there is no `go` on the PATH. Install Go 1.26 or newer (https://go.dev/dl/, or your system's package golang), then run it again.",
      ),
    ),
  );
  child.once('exit', ended.resolve);
  const code = await ended.promise;
  if (code !== 0)
    throw new Error(
      `toxiproxy could not be built: \`go install\` ended with ${code}. Its own words are above; it needs a Go module proxy within reach.`,
    );
}
