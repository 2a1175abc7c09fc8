import { randomBytes } from 'node:crypto';
import { loadKeys } from '../configuration/keys.ts';
import { keysToMake } from '../ledger/installationKeys.ts';
import { applyMigrations } from '../ledger/migrate.ts';
import { prepareDatabases } from './databases.ts';
import { generatedConfiguration } from './generatedConfiguration.ts';
import { requestToken, startIdentityProvider } from './identityProvider.ts';
import { demandFree, type Ports, planPorts, rememberPorts } from './portPlan.ts';
import { startPostgres } from './postgres.ts';
import { keptSecret, writePrivateFile } from './privateFiles.ts';
import { processRecord, stopLeftovers } from './processRecord.ts';
import { takeLock } from './runningLock.ts';
import { type StartSequence, startSequence } from './startSequence.ts';
import { openState, type StateLayout } from './stateLayout.ts';
import type { SupervisedService } from './supervisor.ts';
import { startTemporal } from './temporal.ts';
import { temporalBinary } from './temporalBinary.ts';
import { api, startTenureProcess, type TenureProcess, worker } from './tenureProcesses.ts';

export interface EmbeddedOptions {
  /** Everything is kept below it; the same directory goes on where it was left. */
  stateDir: string;
  /** Ports to use in place of those remembered or chosen. Port 0 is not a choice: leave the port out for a free one. */
  ports?: Partial<Ports>;
  /** Told each step when it is done, with how long it took, and everything that needs attention later. */
  onProgress?: (line: string) => void;
  /** How long an uncommitted credential may live; a revocation is final one lease after the last creation. Default 60. */
  leaseSeconds?: number;
  /** Tenure's own processes, in the order in which they start: worker, then API. */
  processes?: readonly TenureProcess[];
  /** Gives up between two steps and stops what was started; the promise rejects with the signal's reason. */
  signal?: AbortSignal;
}

export interface EmbeddedRuntime {
  readonly apiUrl: string;
  readonly ports: Ports;
  /** The generated tenure.yaml. */
  readonly configurationFile: string;
  /** The `iss` of people's and of pipelines' tokens. */
  readonly issuer: string;
  readonly temporal: { readonly address: string; readonly namespace: string };
  /** URLs with passwords: never log them. */
  readonly postgres: {
    /** A superuser's, to `postgres` or the database named. */
    superuserUrl(database?: string): string;
    readonly ledgerUrl: string;
    /** The issuer's administrator, on the example application's database. */
    readonly issuerUrl: string;
  };
  /** PostgreSQL, Temporal, worker, API: each can be killed, stopped and started alone. */
  service(name: string): SupervisedService;
  /** A person's access token; `security-1` or the e-mail address. */
  token(person: string): Promise<string>;
  /** What a person gives to an agent, to show for whom it acts; it signs nobody in. */
  tokenForAgents(person: string): Promise<string>;
  pipelineToken(pipeline: string, options?: { triggeredBy?: string }): Promise<string>;
  /** Resolves, with the reason, if something died too often to be mended. The rest still runs until `stop`. */
  readonly broken: Promise<Error>;
  /** Stops everything in order: API, worker, Temporal, sign-in, PostgreSQL. Repeating it is harmless. */
  stop(): Promise<void>;
}

/**
 * Starts the whole of Tenure on this machine, as `tenure up` does, and supervises it. State that a killed start left
 * behind is recovered. If a step fails, what was started is stopped again.
 * @throws AlreadyRunning, PortTaken, NoTemporalBinary, ServerFailed: each says what to do
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedRuntime> {
  const onProgress = options.onProgress ?? (() => undefined);
  const sequence = startSequence({ onProgress, signal: options.signal });
  try {
    return await startAll({ ...options, onProgress }, sequence);
  } catch (error) {
    await sequence.stop();
    throw error;
  }
}

async function startAll(
  { stateDir, ports: asked = {}, onProgress, processes = [worker, api], leaseSeconds = 60 }: EmbeddedOptions & Progress,
  sequence: StartSequence,
): Promise<EmbeddedRuntime> {
  const state = openState(stateDir);
  const ports = await planPorts(state.ports, asked);
  const apiUrl = `http://127.0.0.1:${ports.api}`;
  const giveBackLock = takeLock(state.lock, { apiUrl, stateDirectory: stateDir });
  sequence.undoWith(async () => giveBackLock());
  const leftovers = await stopLeftovers(state.processes);
  if (leftovers.length > 0) onProgress(`the last start was killed; ended what it left: ${leftovers.join(', ')}`);
  await demandFree(ports);
  sequence.recordIn(processRecord(state.processes));

  const servers = await startServers({ state, ports, onProgress }, sequence);
  const { postgres, provider, temporal } = servers;
  const databases = await sequence.step('ledger and example application', async () => {
    const prepared = await prepareDatabases(postgres, state);
    await applyMigrations({ databaseUrl: prepared.ledgerUrl });
    return prepared;
  });
  loadKeys(state.keys, await keysToMake(databases.ledgerUrl));
  for (const file of [state.sealedStoreKey, state.apiKeyHashKey])
    keptSecret(file, () => `${randomBytes(32).toString('base64')}\n`);
  const configuration = generatedConfiguration({
    state,
    apiPort: ports.api,
    temporal,
    issuer: provider.issuer,
    leaseSeconds,
  });
  writePrivateFile(state.configuration, configuration);
  for (const tenureProcess of processes) {
    const { name } = tenureProcess;
    const start = async () => ({
      process: await startTenureProcess(tenureProcess, {
        configuration: state.configuration,
        logFile: state.logFile(name),
      }),
    });
    await sequence.step(name, () => sequence.run({ name, start }));
  }
  rememberPorts(state.ports, ports);

  return {
    apiUrl,
    ports,
    configurationFile: state.configuration,
    issuer: provider.issuer,
    temporal: { address: temporal.address, namespace: temporal.namespace },
    postgres: { superuserUrl: (database) => postgres.url(database), ...databases },
    service: (name) => sequence.service(name),
    token: (person) => requestToken(provider, { person }),
    tokenForAgents: (person) => requestToken(provider, { person, for_agents: 'true' }),
    pipelineToken: (pipeline, { triggeredBy } = {}) =>
      requestToken(provider, { pipeline, ...(triggeredBy === undefined ? {} : { triggered_by: triggeredBy }) }),
    broken: sequence.broken,
    stop: () => sequence.stop(),
  };
}

interface Progress {
  onProgress: (line: string) => void;
}

async function startServers(
  { state, ports, onProgress }: { state: StateLayout; ports: Ports } & Progress,
  sequence: StartSequence,
) {
  const binary = await sequence.step('Temporal binary', () => temporalBinary(onProgress));
  const postgres = await sequence.step(`PostgreSQL on port ${ports.postgres}`, () =>
    sequence.run({
      name: 'PostgreSQL',
      start: () =>
        startPostgres({ directory: state.postgres, port: ports.postgres, logFile: state.logFile('PostgreSQL') }),
    }),
  );
  const provider = await sequence.step(`sign-in on port ${ports.signIn}`, () =>
    startIdentityProvider({ stateDirectory: state.directory, port: ports.signIn }),
  );
  sequence.undoWith(() => provider.stop());
  const temporal = await sequence.step(`Temporal on port ${ports.temporal}`, () =>
    sequence.run({
      name: 'Temporal',
      start: () =>
        startTemporal({
          binary,
          port: ports.temporal,
          databaseFile: state.temporalDatabase,
          logFile: state.logFile('Temporal'),
        }),
    }),
  );
  return { postgres, provider, temporal };
}
