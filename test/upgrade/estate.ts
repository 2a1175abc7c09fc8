import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';
import pg from 'pg';
import { inject } from 'vitest';
import { roleNames } from '../../configuration/configurationSchema.ts';
import { type ApiClient, apiClient } from '../../embedded/demo/apiClient.ts';
import { requestToken, startIdentityProvider } from '../../embedded/identityProvider.ts';
import { audiences } from '../../embedded/localGrant.ts';
import { embeddedPeople, embeddedPipelines } from '../../embedded/people.ts';
import { freePort } from '../../embedded/ports.ts';
import { startTenureProcess, type TenureProcess } from '../../embedded/tenureProcesses.ts';
import type { DeploymentPlace } from '../../worker/deploymentView.ts';
import { type Gate, startGate } from './gate.ts';

/** A running process of one release. */
export interface Running {
  stop(): Promise<void>;
}

/**
 * What stays when releases come and go: an empty database, a Temporal namespace, sign-in, keys, two issuers. `far-db` is
 * behind a gate. Its tenure.yaml is one that every release can read.
 */
export interface Estate {
  readonly databaseUrl: string;
  readonly configurationFile: string;
  readonly apiUrl: string;
  readonly directory: string;
  readonly gate: Gate;
  readonly deployment: DeploymentPlace;
  start(process: TenureProcess): Promise<Running>;
  as(person: string): Promise<ApiClient>;
  token(person: string): Promise<string>;
  pipeline(): Promise<ApiClient>;
  close(): Promise<void>;
}

export async function openEstate(): Promise<Estate> {
  const directory = mkdtempSync(join(tmpdir(), 'tenure-upgrade-'));
  const database = await emptyDatabase();
  const temporal = { address: inject('temporalAddress'), namespace: `t-${database.name}` };
  const connection = await Connection.connect({ address: temporal.address });
  await connection.workflowService.registerNamespace({
    namespace: temporal.namespace,
    workflowExecutionRetentionPeriod: msToTs('1 day'),
  });
  const gate = await startGate(Number(database.url.port));
  const provider = await startIdentityProvider({ stateDirectory: directory, port: await freePort() });
  const port = await freePort();
  const secret = (name: string, text: string): { file: string } => {
    const file = join(directory, name);
    writeFileSync(file, text, { mode: 0o600 });
    return { file };
  };
  const scopes = { 'orders:read': 'pg_read_all_data' };
  const gatedUrl = new URL(database.url);
  gatedUrl.port = String(gate.port);
  const configurationFile = join(directory, 'tenure.yaml');
  writeFileSync(
    configurationFile,
    JSON.stringify({
      listen: `127.0.0.1:${port}`,
      database: secret('ledger-url', database.url.href),
      temporal,
      keys: { directory: join(directory, 'keys') },
      leaseSeconds: 10,
      oidc: [
        { name: 'people', issuer: provider.issuer, audience: audiences.people, for: 'people', groupsClaim: 'groups' },
        { name: 'pipelines', issuer: provider.issuer, audience: audiences.pipelines, for: 'pipelines' },
      ],
      people: embeddedPeople.map(({ email, name, groups }) => ({ id: email, name, groups })),
      roles: Object.fromEntries(roleNames.map((role) => [role, [`group:${role}`]])),
      pipelines: Object.fromEntries(
        embeddedPipelines.map(({ name, claims }) => [
          name,
          { oidc: 'pipelines', claims, may: [{ rotate: 'payments/*' }] },
        ]),
      ),
      issuers: {
        'main-db': { type: 'postgres-role', url: secret('issuer-url', database.url.href), scopes },
        'far-db': { type: 'postgres-role', url: secret('far-issuer-url', gatedUrl.href), scopes },
      },
      stores: {
        sealed: { type: 'sealed', keyFile: secret('sealed-key', `${randomBytes(32).toString('base64')}\n`).file },
      },
    }),
  );
  const apiUrl = `http://127.0.0.1:${port}`;
  const running = new Set<Running>();
  const token = (person: string) => requestToken(provider, { person });
  return {
    databaseUrl: database.url.href,
    configurationFile,
    apiUrl,
    directory,
    gate,
    deployment: { service: connection.workflowService, namespace: temporal.namespace, deploymentName: 'tenure' },
    async start(process) {
      const logFile = join(directory, 'processes.log');
      const server = await startTenureProcess(process, { configuration: configurationFile, logFile });
      const own: Running = {
        async stop() {
          running.delete(own);
          await server.stop();
        },
      };
      running.add(own);
      return own;
    },
    as: async (person) => apiClient(apiUrl, await token(person)),
    token,
    pipeline: async () => apiClient(apiUrl, await requestToken(provider, { pipeline: 'deploy' })),
    async close() {
      for (const own of running) await own.stop();
      await provider.stop();
      await gate.close();
      await connection.close();
      await database.drop();
      rmSync(directory, { recursive: true });
    },
  };
}

/** Not the template of the other tests: the previous release brings its own schema. */
async function emptyDatabase(): Promise<{ name: string; url: URL; drop(): Promise<void> }> {
  const name = `upgrade_${randomBytes(8).toString('hex')}`;
  const superuser = async (statement: string): Promise<void> => {
    const client = new pg.Client({ connectionString: inject('postgresUrl') });
    await client.connect();
    try {
      await client.query(statement);
    } finally {
      await client.end();
    }
  };
  await superuser(`CREATE DATABASE ${name}`);
  const url = new URL(inject('postgresUrl'));
  url.pathname = `/${name}`;
  return { name, url, drop: () => superuser(`DROP DATABASE ${name} WITH (FORCE)`) };
}
