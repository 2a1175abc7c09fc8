import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime } from '@temporalio/worker';
import { pino } from 'pino';
import { createIssuers, createStores } from '../activities/adapters.ts';
import { issuanceEffects } from '../activities/issuance.ts';
import { ledgerActivities } from '../activities/ledger.ts';
import { lifecycleActivities } from '../activities/lifecycle.ts';
import { orderedEffects } from '../activities/orderedEffects.ts';
import { reconcilePage } from '../activities/reconciliation.ts';
import { missingSealedKeys } from '../activities/stores/sealedKeyCheck.ts';
import { temporalGateway } from '../api/temporalGateway.ts';
import { dataConverter } from '../configuration/dataConverter.ts';
import { loadKeys } from '../configuration/keys.ts';
import { loadConfiguration } from '../configuration/loadConfiguration.ts';
import { readSecret } from '../configuration/secretReference.ts';
import { temporalConnection } from '../configuration/temporalConnection.ts';
import { canonicalJson } from '../domain/evidence/canonicalJson.ts';
import { formatFlowError } from '../domain/flow/explain.ts';
import { parseFlow } from '../domain/flow/parse.ts';
import { type PolicyDocument, readPolicyDocument } from '../domain/flow/publishing/document.ts';
import { defaultPace } from '../domain/massRevocation.ts';
import { runVerifier } from '../ledger/evidenceVerifier.ts';
import { evidenceWatch } from '../ledger/evidenceWatch.ts';
import { type FlowSource, seedFlows } from '../ledger/flows.ts';
import { keysToMake } from '../ledger/installationKeys.ts';
import { openLedger } from '../ledger/openLedger.ts';
import { ensureReconciliations, partsOf } from '../ledger/reconciliations.ts';
import { answerFork, observeIfRestored } from '../ledger/restore.ts';
import { runSealer } from '../ledger/sealer.ts';
import { startMetrics } from '../observability/metrics.ts';
import { countedEffects, evidenceMetrics, workerMetrics } from '../observability/processMetrics.ts';
import { startTracing } from '../observability/tracing.ts';
import { createWorker } from './createWorker.ts';
import { settleCurrent } from './deploymentRouting.ts';
import { deploymentVersion } from './deploymentVersion.ts';
import { dispatchOutbox } from './dispatchOutbox.ts';
import { driveMassRevocations } from './driveMassRevocations.ts';
import { ensureLifecycleSchedule } from './lifecycleSchedule.ts';
import { sealingOf } from './sealing.ts';

/** The worker process: wiring only. It carries out workflows and effects, delivers the outbox, and seals evidence. */

const logger = pino({ name: 'worker' });
const configuration = loadConfiguration(process.env['TENURE_CONFIG'] ?? 'tenure.yaml', process.env);
const databaseUrl = readSecret(configuration.database, process.env);
// Beside a ledger that is in use no keys are made: what they signed, nobody else could verify.
const keys = loadKeys(configuration.keys.directory, await keysToMake(databaseUrl));
const ledger = await openLedger({
  databaseUrl,
  host: new URL(configuration.publicUrl).host,
  leaseMs: configuration.leaseSeconds * 1000,
  poolSize: 20,
  keys,
});
const drifted = await seedFlows(ledger, shippedFlows(), shippedInvariants());
if (drifted.length > 0)
  logger.warn({ flows: drifted }, 'flow files differ from the published versions, which rule; nothing was loaded');

const issuers = createIssuers({ configuration, installationId: ledger.installation.id, prisma: ledger.prisma });
const stores = createStores({ configuration, prisma: ledger.prisma });
const missingKeys = await missingSealedKeys(configuration, ledger.prisma, process.env);
if (missingKeys !== undefined) logger.error({ reason: missingKeys }, 'a key of a sealed store is wrong or missing');
const { namespace, connectionOptions } = temporalConnection(configuration, process.env);
const version = deploymentVersion(configuration.deployment.name);
Runtime.install({
  logger: new DefaultLogger('WARN', ({ level, message, meta }) => logger.warn({ level, ...meta }, message)),
});
const connection = await NativeConnection.connect(connectionOptions);
const converter = dataConverter(keys.payload);
const tracing = await startTracing({
  service: 'tenure-worker',
  env: process.env,
  onError: (message) => logger.warn({ reason: message }, 'traces are not exported'),
});
const starts = temporalGateway({
  namespace,
  connectionOptions,
  dataConverter: converter,
  interceptors: tracing?.client,
});
const metrics = await startMetrics({
  process: 'worker',
  listen: configuration.metrics.worker,
  ledger,
  onError: (error) => logger.error({ err: error }, 'the ledger cannot be read for metrics'),
});
const effects = countedEffects(
  issuanceEffects({ ledger, issuer: issuers.named, store: stores.named, fingerprintKey: keys.fingerprint }),
  metrics.registry,
);
const onError = (error: unknown, what: string) =>
  logger.error({ err: error, what }, 'due work failed; it is tried again');
const sealing = sealingOf(ledger, configuration);
// Before anything of it is carried out: a ledger that was put back from a backup only observes.
const history = await observeIfRestored(ledger, sealing);
if (history !== 'as signed')
  logger.warn({ history }, 'the ledger was not confirmed to hold all that was signed: see docs/reconciliation.md');
await ensureReconciliations(ledger, partsOf(configuration));
const worker = await createWorker({
  connection,
  namespace,
  dataConverter: converter,
  version,
  tracing,
  activities: {
    ...ledgerActivities(ledger),
    ...orderedEffects({ ledger, effects }),
    ...lifecycleActivities({
      ledger,
      destroy: effects.destroy,
      reconcile: reconcilePage({
        ledger,
        issuer: issuers.named,
        store: stores.named,
        effects,
        onError,
      }),
      starts,
      onError,
    }),
  },
});
workerMetrics(metrics.registry, () => worker.getStatus());
const client = new Client({ connection, namespace, dataConverter: converter });
await ensureLifecycleSchedule(client);

const ending = new AbortController();
const notTold = (error: unknown) => logger.error({ err: error }, 'the ledger could not be told how its evidence is');
const watches = {
  sealing: evidenceWatch(ledger, 'sealing', notTold),
  verification: evidenceWatch(ledger, 'verification', notTold),
};
evidenceMetrics(metrics.registry, Object.values(watches));
const background = [
  runVerifier({
    direct: ledger.direct,
    keys: ledger.evidence,
    intervalMs: 5_000,
    signal: ending.signal,
    watch: watches.verification,
    onError: (error) => logger.error({ err: error }, 'sealed evidence is not verified'),
  }),
  runSealer({
    ...sealing,
    intervalMs: 250,
    signal: ending.signal,
    watch: watches.sealing,
    onForked: ({ signed }) => answerFork(ledger, signed),
    onError: (error) => logger.error({ err: error }, 'evidence is not sealed; it is tried again'),
  }),
  dispatchOutbox({ ledger, starts, logger, intervalMs: 100, signal: ending.signal }),
  driveMassRevocations({
    ledger,
    // An issuer that tenure.yaml no longer names has no limits of its own.
    paceOf: (issuer) => configuration.issuers[issuer]?.revocations ?? defaultPace,
    intervalMs: 250,
    signal: ending.signal,
    onError: (error, what) => logger.error({ err: error, what }, 'a mass revocation waits; it is tried again'),
  }),
];

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => shutdown());
process.once('disconnect', () => shutdown());

const running = worker.run();
await Promise.race([running, settled()]);
if (worker.getState() === 'RUNNING') logger.info({ buildId: version.buildId }, 'worker ready');

await running;
ending.abort();
await Promise.all(background);
await metrics.close();
await tracing?.close();
await starts.close();
await connection.close();
// A store that is away must not keep the rest from closing in order.
for (const adapters of [issuers, stores]) {
  await adapters.close().catch((error: unknown) => logger.warn({ err: error }, 'an issuer or store did not close'));
}
await ledger.close();
// The disconnect listener would otherwise keep a parent's channel, and with it this process, open.
if (process.connected) process.disconnect();

/** It polls already: Temporal makes a version current only when it has seen its workers. */
async function settled(): Promise<void> {
  const place = { service: client.workflowService, namespace, deploymentName: version.deploymentName };
  const { madeCurrentBy } = configuration.deployment;
  const signal = ending.signal;
  const isCurrent = await settleCurrent(place, { ...version, madeCurrentBy, patienceMs: 60_000, signal }).catch(
    (error: unknown) => {
      if (!signal.aborted) throw error;
      return true;
    },
  );
  if (!isCurrent)
    logger.warn(
      version,
      'this version is not current: it is given nothing new until `tenure deployment make-current` says so (docs/operating.md, Upgrade)',
    );
}

/** Asks the worker to finish what it holds; the lines after `run` then close the rest. */
function shutdown(): void {
  if (worker.getState() === 'RUNNING') worker.shutdown();
}

/** @throws with line and column when it is broken */
function shippedInvariants(): PolicyDocument {
  const source = readFileSync(new URL('../flows/invariants.yaml', import.meta.url), 'utf8');
  const read = readPolicyDocument(source, 'flows/invariants.yaml');
  if (read.ok) return read.document;
  throw new Error(read.errors.map((error) => formatFlowError(error, source)).join('\n'));
}

/** The flow files that seed an empty ledger. @throws with file, line and column when one is broken: nothing starts then */
function shippedFlows(): FlowSource[] {
  const directory = fileURLToPath(new URL('../flows', import.meta.url));
  return readdirSync(directory)
    .filter((file) => file.endsWith('.flow.yaml'))
    .sort()
    .map((file) => {
      const source = readFileSync(join(directory, file), 'utf8');
      const parsed = parseFlow(source, `flows/${file}`);
      if (!parsed.ok) throw new Error(parsed.errors.map((error) => formatFlowError(error, source)).join('\n'));
      return { flow: parsed.flow, digest: parsed.digest, canonical: canonicalJson(parsed.flow), source };
    });
}
