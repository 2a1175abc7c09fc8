import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { prepareDatabases } from '../../embedded/databases.ts';
import { type IdentityProvider, startIdentityProvider } from '../../embedded/identityProvider.ts';
import { startPostgres } from '../../embedded/postgres.ts';
import { openState } from '../../embedded/stateLayout.ts';
import { temporalBinary } from '../../embedded/temporalBinary.ts';
import { admitDatabaseUser } from '../../embedded/unprivilegedUser.ts';
import { applyMigrations } from '../../ledger/migrate.ts';
import { launchVault, mountEngines, vaultBinary } from '../setup/vault.ts';
import { quietPort } from './quietPort.ts';
import { restartable, type Service } from './service.ts';
import { startToxiproxy, type Toxiproxy } from './toxiproxy.ts';

/** What a run of the harness starts once: every seed finds it healthy, and has a place of its own in it. */
export interface Servers {
  readonly directory: string;
  readonly ledger: PostgresCluster;
  /** Where credentials are made: a cluster of its own, so that it dies alone. */
  readonly issuer: PostgresCluster & { readonly adminUrl: string };
  readonly vault: { readonly service: Service; readonly port: number; readonly address: string; rootToken: string };
  readonly temporalBinary: string;
  readonly signIn: IdentityProvider;
  readonly toxiproxy: Toxiproxy;
  /** Where deaths that nobody asked for are told; each seed sets its own. */
  onDeath: (how: string) => void;
  stop(): Promise<void>;
}

export interface PostgresCluster {
  readonly service: Service;
  readonly port: number;
  readonly logFile: string;
  /** A superuser's. It holds the password. */
  url(database?: string): string;
}

/** The ledger's owner, who is no superuser. */
export const ledgerRole = 'tenure';
export const migratedTemplate = 'migrated';

export async function startServers(say: (text: string) => void): Promise<Servers> {
  const directory = mkdtempSync(join(tmpdir(), 'tenure-faults-'));
  admitDatabaseUser(directory);
  const undo: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (let last = undo.pop(); last !== undefined; last = undo.pop()) await last();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const binary = await temporalBinary(say);
    const vaultCommand = await vaultBinary(say);
    const told = { onDeath: (_how: string): void => undefined };
    const onDeath = (how: string) => told.onDeath(how);

    const toxiproxy = await startToxiproxy(say);
    undo.push(() => toxiproxy.stop());
    const ledger = await startCluster('ledger', directory, onDeath);
    undo.push(() => ledger.service.end());
    await makeTemplate(ledger);
    const issuerCluster = await startCluster('issuer', directory, onDeath);
    undo.push(() => issuerCluster.service.end());
    const { issuerUrl: adminUrl } = await prepareDatabases(
      issuerCluster,
      openState(join(directory, 'issuer-databases')),
    );
    const vault = await startVaultService({ command: vaultCommand, directory: join(directory, 'vault') }, onDeath);
    undo.push(() => vault.service.end());
    const signIn = await startIdentityProvider({ stateDirectory: directory, port: await quietPort() });
    undo.push(() => signIn.stop());
    return Object.assign(told, {
      directory,
      ledger,
      issuer: { ...issuerCluster, adminUrl },
      vault,
      temporalBinary: binary,
      signIn,
      toxiproxy,
      stop,
    });
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startCluster(
  name: 'ledger' | 'issuer',
  directory: string,
  onDeath: (how: string) => void,
): Promise<PostgresCluster> {
  const port = await quietPort();
  const logFile = join(directory, `${name}.log`);
  const options = { directory: join(directory, name), port, logFile };
  let url = (_database?: string): string => '';
  const service = restartable(
    name,
    async () => {
      const server = await startPostgres(options);
      url = server.url;
      return server.process;
    },
    onDeath,
  );
  await service.start();
  return { service, port, logFile, url: (database) => url(database) };
}

async function makeTemplate(ledger: PostgresCluster): Promise<void> {
  const client = new pg.Client({ connectionString: ledger.url() });
  await client.connect();
  await client.query(`CREATE ROLE ${ledgerRole} LOGIN PASSWORD '${ledgerRole}'`);
  await client.query(`CREATE DATABASE ${migratedTemplate} OWNER ${ledgerRole}`);
  await applyMigrations({ databaseUrl: ledgerUrl(ledger.port, migratedTemplate) });
  await client.query(`ALTER DATABASE ${migratedTemplate} WITH ALLOW_CONNECTIONS false`);
  await client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [migratedTemplate]);
  await client.end();
}

/** As the ledger's owner, at the cluster or at a link to it. The cluster is on the loopback, and gone after the run. */
export function ledgerUrl(port: number, database: string): string {
  return `postgresql://${ledgerRole}:${ledgerRole}@127.0.0.1:${port}/${database}`;
}

async function startVaultService(
  { command, directory }: { command: string; directory: string },
  onDeath: (how: string) => void,
): Promise<Servers['vault']> {
  const port = await quietPort();
  const vault = { port, address: `http://127.0.0.1:${port}`, rootToken: '' };
  const service = restartable(
    'vault',
    async () => {
      const { server, rootToken } = await launchVault({ command, listen: `127.0.0.1:${port}`, directory });
      vault.rootToken = rootToken;
      return server;
    },
    onDeath,
  );
  await service.start();
  await mountEngines(vault, 'secret');
  return Object.assign(vault, { service });
}
