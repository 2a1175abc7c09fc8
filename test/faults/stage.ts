import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { loadKeys } from '../../configuration/keys.ts';
import { requestToken } from '../../embedded/identityProvider.ts';
import { embeddedPeople } from '../../embedded/people.ts';
import { keptSecret, writePrivateFile } from '../../embedded/privateFiles.ts';
import { startTemporal } from '../../embedded/temporal.ts';
import { api, startTenureProcess, type TenureProcess, worker } from '../../embedded/tenureProcesses.ts';
import { seedFlows } from '../../ledger/flows.ts';
import { openLedger } from '../../ledger/openLedger.ts';
import { makeTenureLogin, type VaultServer } from '../setup/vault.ts';
import type { EventLog } from './eventLog.ts';
import { faultFlows } from './flows.ts';
import { type LinkName, links, type Plan, type ProcessName } from './plan.ts';
import { quietPort } from './quietPort.ts';
import { ledgerUrl, migratedTemplate, type Servers } from './servers.ts';
import { restartable, type Service } from './service.ts';
import { configurationOf, leaseSeconds, type Own } from './stageConfiguration.ts';
import type { Link } from './toxiproxy.ts';

/** One seed's own installation: ledger, Temporal, keys, folder in Vault, and Tenure's processes, behind links that break. */
export interface Stage {
  readonly directory: string;
  readonly apiUrl: string;
  readonly temporalAddress: string;
  /** Past all links. */
  readonly vault: VaultServer;
  readonly issuerPort: number;
  service(name: ProcessName): Service;
  /** Takes over from a worker that stands still. */
  readonly secondWorker: Service;
  link(name: LinkName): Link;
  /** A person's access token, or the deploying pipeline's. */
  token(principal: string): string;
  /** What the processes wrote so far: logs, and Temporal's database. */
  written(): Readonly<Record<string, Buffer>>;
  /** @param keep leaves the directory: logs, Temporal's database, keys */
  close(keep: boolean): Promise<void>;
}

const ownFiles = ['worker.log', 'worker-2.log', 'api.log', 'temporal.log', 'temporal.db', 'temporal.db-wal'];

export const pipeline = 'deploy';
export const principals = [...embeddedPeople.map(({ name }) => name), pipeline];

export async function openStage(servers: Servers, plan: Plan, log: EventLog, directory: string): Promise<Stage> {
  const database = `seed_${plan.seed}`;
  const own = await layOut(servers, { database, directory, prefix: `seed-${plan.seed}` });
  const onDeath = (how: string) => {
    log.count('ended by itself, or did not start');
    log.note(how);
  };
  servers.onDeath = onDeath;

  const temporalPort = await quietPort();
  const temporal = restartable(
    'temporal',
    async () => {
      const server = await startTemporal({
        binary: servers.temporalBinary,
        port: temporalPort,
        databaseFile: join(directory, 'temporal.db'),
        logFile: join(directory, 'temporal.log'),
      });
      return server.process;
    },
    onDeath,
  );
  const opened = new Map<LinkName, Link>();
  const upstream = {
    ledger: servers.ledger.port,
    temporal: temporalPort,
    issuer: servers.issuer.port,
    vault: servers.vault.port,
  };
  for (const name of links) {
    const target = name.slice(name.indexOf('-') + 1) as keyof typeof upstream;
    opened.set(name, await servers.toxiproxy.link(`${name}-${plan.seed}`, upstream[target]));
  }
  const link = (name: LinkName): Link => {
    const found = opened.get(name);
    if (found === undefined) throw new Error(`There is no link ${name}.`);
    return found;
  };

  const apiPort = await quietPort();
  const yaml = (name: 'worker' | 'api') =>
    configurationOf(own, {
      servers,
      apiPort,
      database,
      name,
      portOf: (target) =>
        name === 'api' && target === 'issuer' ? servers.issuer.port : link(`${name}-${target}` as LinkName).port,
    });
  for (const name of ['worker', 'api'] as const) writePrivateFile(join(directory, `${name}.yaml`), yaml(name));
  const tenure = (name: string, tenureProcess: TenureProcess, file: string) =>
    restartable(
      name,
      () =>
        startTenureProcess(tenureProcess, {
          configuration: join(directory, file),
          logFile: join(directory, `${name}.log`),
        }),
      onDeath,
    );
  const services = new Map<ProcessName, Service>([
    ['worker', tenure('worker', worker, 'worker.yaml')],
    ['api', tenure('api', api, 'api.yaml')],
    ['temporal', temporal],
    ['ledger', servers.ledger.service],
    ['issuer', servers.issuer.service],
    ['vault', servers.vault.service],
  ]);
  const secondWorker = tenure('worker-2', worker, 'worker.yaml');
  const service = (name: ProcessName): Service => {
    const found = services.get(name);
    if (found === undefined) throw new Error(`There is no process ${name}.`);
    return found;
  };
  await temporal.start();
  await Promise.all([service('worker').start(), service('api').start()]);
  const tokens = await allTokens(servers);

  return {
    directory,
    apiUrl: `http://127.0.0.1:${apiPort}`,
    temporalAddress: `127.0.0.1:${temporalPort}`,
    vault: own.vault,
    issuerPort: servers.issuer.port,
    service,
    secondWorker,
    link,
    token(principal) {
      const token = tokens.get(principal);
      if (token === undefined) throw new Error(`Nobody is called ${principal}.`);
      return token;
    },
    written: () => ({
      ...Object.fromEntries(ownFiles.map((file) => [file, readIfThere(join(directory, file))])),
      "the issuer's log": readIfThere(servers.issuer.logFile),
      "the ledger's log": readIfThere(servers.ledger.logFile),
    }),
    async close(keep) {
      for (const each of [service('worker'), secondWorker, service('api'), temporal]) await each.end();
      for (const each of opened.values()) await each.remove();
      await clearServers(servers, database);
      if (!keep) rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** A directory for one seed's files. */
export function stageDirectory(seed: number): string {
  return mkdtempSync(join(tmpdir(), `tenure-seed-${seed}-`));
}

/** Ledger, keys and Vault folder of the seed, before anything of Tenure runs. */
async function layOut(
  servers: Servers,
  { database, directory, prefix }: { database: string; directory: string; prefix: string },
): Promise<Own> {
  await onCluster(servers.ledger.url(), [`CREATE DATABASE ${database} TEMPLATE ${migratedTemplate} OWNER tenure`]);
  mkdirSync(join(directory, 'keys'), { mode: 0o700 });
  const keys = loadKeys(join(directory, 'keys'), { create: true });
  keptSecret(join(directory, 'sealed-store.key'), () => `${randomBytes(32).toString('base64')}\n`);
  const ledger = await openLedger({
    databaseUrl: ledgerUrl(servers.ledger.port, database),
    host: 'tenure.test',
    leaseMs: leaseSeconds * 1000,
    keys,
  });
  await seedFlows(ledger, faultFlows());
  await ledger.close();
  const { address, rootToken } = servers.vault;
  return { directory, vault: await makeTenureLogin({ address, rootToken }, { mount: 'secret', prefix }) };
}

async function allTokens({ signIn }: Servers): Promise<ReadonlyMap<string, string>> {
  const asked = principals.map(async (principal) => {
    const whose = principal === pipeline ? { pipeline } : { person: principal };
    return [principal, await requestToken(signIn, whose)] as const;
  });
  return new Map(await Promise.all(asked));
}

/** The next seed finds the servers as this one did: its database and every credential's role gone. */
async function clearServers(servers: Servers, database: string): Promise<void> {
  await onCluster(servers.ledger.url(), [`DROP DATABASE ${database} WITH (FORCE)`]);
  const client = new pg.Client({ connectionString: servers.issuer.url('app') });
  await client.connect();
  const { rows } = await client.query<{ rolname: string }>(
    "SELECT rolname FROM pg_roles WHERE rolname ~ '^tenure_[a-z2-7]{26}' ORDER BY length(rolname) DESC",
  );
  for (const { rolname } of rows) await client.query(`DROP OWNED BY ${rolname}; DROP ROLE ${rolname}`);
  await client.end();
}

async function onCluster(url: string, statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  for (const statement of statements) await client.query(statement);
  await client.end();
}

function readIfThere(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    // A second worker that was never needed has none.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
}
