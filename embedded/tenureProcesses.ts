import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { readyOrFailed, type ServerProcess, startServerProcess } from './serverProcess.ts';

/** A process of Tenure itself: a script that says when it is ready, in a JSON line of its log. */
export interface TenureProcess {
  readonly name: string;
  readonly script: string;
  readonly readyMessage: string;
}

const script = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));

export const worker: TenureProcess = { name: 'worker', script: script('worker/main.ts'), readyMessage: 'worker ready' };
export const api: TenureProcess = { name: 'API', script: script('api/main.ts'), readyMessage: 'api ready' };

/** The first start bundles the workflows, which takes a slow machine a while. */
const readyTimeoutMs = 120_000;

const LogLine = z.looseObject({ msg: z.string() });

/** Starts one of them on a configuration file, on this same Node, and waits until it says that it is ready. */
export async function startTenureProcess(
  { name, script: path, readyMessage }: TenureProcess,
  { configuration, logFile }: { configuration: string; logFile: string },
): Promise<ServerProcess> {
  const server = await startServerProcess({
    name,
    command: process.execPath,
    args: [path],
    logFile,
    graceMs: 30_000,
    spawnOptions: { env: { ...inheritedEnvironment(), TENURE_CONFIG: configuration } },
  });
  const ready = new Promise<void>((resolve) => {
    server.onLine((line) => {
      if (messageOf(line) === readyMessage) resolve();
    });
  });
  await readyOrFailed(server, ready, readyTimeoutMs);
  return server;
}

/** What the user set for other databases and other Temporal servers would override the generated configuration. */
function inheritedEnvironment(): NodeJS.ProcessEnv {
  const isForOthers = (name: string) =>
    name === 'DATABASE_URL' || name.startsWith('TEMPORAL_') || /^PG[A-Z]+$/.test(name);
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !isForOthers(name)));
}

function messageOf(line: string): string | undefined {
  try {
    const parsed = LogLine.safeParse(JSON.parse(line));
    return parsed.success ? parsed.data.msg : undefined;
  } catch {
    // A line that is no JSON (a warning of Node's, say) is for the log file only.
    return undefined;
  }
}
