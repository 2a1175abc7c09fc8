import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';
import { DefaultLogger, NativeConnection, Runtime } from '@temporalio/worker';
import { pino } from 'pino';
import { inject } from 'vitest';
import { issuanceActivities } from '../../activities/issuance.ts';
import type { Issuer } from '../../activities/issuers/issuer.ts';
import { createPostgresRoleIssuer } from '../../activities/issuers/postgresRole.ts';
import { ledgerActivities } from '../../activities/ledger.ts';
import { lifecycleActivities } from '../../activities/lifecycle.ts';
import { createSealedStore } from '../../activities/stores/sealed.ts';
import { sealedKey, sealedKeys } from '../../activities/stores/sealedKeys.ts';
import type { Store } from '../../activities/stores/store.ts';
import { type TemporalGateway, temporalGateway } from '../../api/temporalGateway.ts';
import { type Keys, loadKeys } from '../../configuration/keys.ts';
import type { Activities } from '../../contracts/activities.ts';
import { canonicalJson } from '../../domain/evidence/canonicalJson.ts';
import { parseFlow } from '../../domain/flow/parse.ts';
import { directory } from '../../ledger/directory.ts';
import { type FlowSource, seedFlows } from '../../ledger/flows.ts';
import { type OpenedLedger, openLedger } from '../../ledger/openLedger.ts';
import { createWorker } from '../../worker/createWorker.ts';
import { dispatchOutbox } from '../../worker/dispatchOutbox.ts';
import { freshDatabase } from './database.ts';
import { people } from './people.ts';

Runtime.install({ logger: new DefaultLogger('ERROR') });

export interface TestInstallation {
  readonly databaseUrl: string;
  readonly ledger: OpenedLedger;
  readonly keys: Keys;
  readonly client: Client;
  readonly namespace: string;
  readonly gateway: TemporalGateway;
  readonly issuer: Issuer;
  readonly store: Store;
  readonly activities: Activities;
  /** A worker of this installation, with its outbox. Returns how to stop both. */
  startWorker(): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

export interface InstallationOptions {
  readonly leaseMs?: number;
  /** Extra or other flows, as YAML text; the shipped ones when left out. */
  readonly flows?: readonly string[];
  /** Wraps the real issuer or store: faults are put in at this edge only. */
  readonly wrapIssuer?: (issuer: Issuer) => Issuer;
  readonly wrapStore?: (store: Store) => Store;
}

/**
 * One installation on the run's real servers: a database, a Temporal namespace and roles of its own, with the real
 * `postgres-role` issuer (`main-db`) and the real sealed store (`sealed`).
 */
export async function testInstallation(options: InstallationOptions = {}): Promise<TestInstallation> {
  const { leaseMs = 10_000, flows, wrapIssuer = same, wrapStore = same } = options;
  const database = await freshDatabase();
  const keyDirectory = mkdtempSync(join(tmpdir(), 'tenure-keys-'));
  const keys = loadKeys(join(keyDirectory, 'keys'), { create: true });
  const ledger = await openLedger({ databaseUrl: database.url, host: 'tenure.test', leaseMs, keys });
  await directory(ledger.prisma, people).recordListed();
  await seedFlows(ledger, flows === undefined ? shippedFlows() : flows.map(flowSource));

  const namespace = `t-${database.name}`;
  const address = inject('temporalAddress');
  const connection = await Connection.connect({ address });
  await connection.workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod: msToTs('1 day') });
  const client = new Client({ connection, namespace });
  const gateway = temporalGateway({ namespace, connectionOptions: { address } });

  const realIssuer = createPostgresRoleIssuer('main-db', {
    url: database.url,
    scopes: {},
    installationId: ledger.installation.id,
  });
  const issuer = wrapIssuer(realIssuer);
  const key = sealedKey(randomBytes(32).toString('base64'), 'the test');
  const store = wrapStore(createSealedStore('sealed', { keys: sealedKeys(key), prisma: ledger.prisma }));
  const activities: Activities = {
    ...ledgerActivities(ledger),
    ...issuanceActivities({ ledger, issuer: () => issuer, store: () => store, fingerprintKey: keys.fingerprint }),
    ...lifecycleActivities({
      ledger,
      issuer: () => issuer,
      starts: gateway,
      onError: (error, what) => console.error(what, error),
    }),
  };

  async function startWorker(): Promise<() => Promise<void>> {
    const native = await NativeConnection.connect({ address });
    const worker = await createWorker({ connection: native, namespace, activities });
    const ending = new AbortController();
    const logger = pino({ level: 'silent' });
    const outbox = dispatchOutbox({ ledger, starts: gateway, logger, intervalMs: 50, signal: ending.signal });
    const running = worker.run();
    return async () => {
      ending.abort();
      if (worker.getState() === 'RUNNING') worker.shutdown();
      await Promise.all([running, outbox]);
      await native.close();
    };
  }

  return {
    databaseUrl: database.url,
    ledger,
    keys,
    client,
    namespace,
    gateway,
    issuer: realIssuer,
    store,
    activities,
    startWorker,
    async close() {
      await gateway.close();
      await connection.close();
      await realIssuer.close();
      await ledger.close();
      await database.drop();
      rmSync(keyDirectory, { recursive: true });
    },
  };
}

function same<T>(part: T): T {
  return part;
}

function shippedFlows(): FlowSource[] {
  const path = fileURLToPath(new URL('../../flows', import.meta.url));
  return readdirSync(path)
    .filter((file) => file.endsWith('.flow.yaml'))
    .map((file) => flowSource(readFileSync(join(path, file), 'utf8')));
}

function flowSource(source: string): FlowSource {
  const parsed = parseFlow(source, 'test.flow.yaml');
  if (!parsed.ok) throw new Error(parsed.errors.map(({ line, reason }) => `line ${line}: ${reason}`).join('\n'));
  return { flow: parsed.flow, digest: parsed.digest, canonical: canonicalJson(parsed.flow), source };
}
