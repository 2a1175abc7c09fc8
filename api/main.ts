import { createStores, loginNameOf } from '../activities/adapters.ts';
import { missingSealedKeys } from '../activities/stores/sealedKeyCheck.ts';
import { dataConverter } from '../configuration/dataConverter.ts';
import { loadKeys } from '../configuration/keys.ts';
import { loadConfiguration } from '../configuration/loadConfiguration.ts';
import { personProviders, providerFindings } from '../configuration/personProviders.ts';
import { readSecret } from '../configuration/secretReference.ts';
import { temporalConnection } from '../configuration/temporalConnection.ts';
import { directory } from '../ledger/directory.ts';
import { keysToMake } from '../ledger/installationKeys.ts';
import { openLedger, overOwnConnections } from '../ledger/openLedger.ts';
import { startMetrics } from '../observability/metrics.ts';
import { apiMetrics } from '../observability/processMetrics.ts';
import { startTracing } from '../observability/tracing.ts';
import { flowAnalyst } from './analysis/analyst.ts';
import { apiKeyLookup } from './apiKeyLookup.ts';
import { grantSigner } from './grants/signer.ts';
import { apiServer } from './httpServer.ts';
import { createLogger } from './logging.ts';
import type { SecretSource } from './ports.ts';
import { createApi } from './server.ts';
import { temporalGateway } from './temporalGateway.ts';

/** The API process: wiring only. It starts and serves while Temporal is down; it needs the ledger. */

const logger = createLogger();
// What stops the start is one line of the log too; after it, a state that nobody foresaw is not served from.
process.once('uncaughtException', (error) => {
  logger.fatal({ err: error }, error.message);
  logger.flush(() => process.exit(1));
});
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
// Enough for the lane of safety commands, each of which asks one thing after the other.
const safetyLedger = await overOwnConnections(ledger, { databaseUrl, poolSize: 6 });
const people = directory(ledger, configuration.people, personProviders(configuration));
await people.recordListed();
for (const finding of providerFindings(configuration)) logger.warn(finding);
const tracing = await startTracing({
  service: 'tenure-api',
  env: process.env,
  onError: (message) => logger.warn({ reason: message }, 'traces are not exported'),
});
const gateway = temporalGateway({
  ...temporalConnection(configuration, process.env),
  dataConverter: dataConverter(keys.payload),
  interceptors: tracing?.client,
});
const stores = createStores({ configuration, prisma: ledger.prisma });
const missingKeys = await missingSealedKeys(configuration, ledger.prisma, process.env);
if (missingKeys !== undefined) logger.error({ reason: missingKeys }, 'a key of a sealed store is wrong or missing');
const secrets: SecretSource = {
  readLive: (store, identityId) => stores.named(store).read({ identityId }),
  loginName: (issuer, handle) => loginNameOf(configuration, issuer, handle),
};
const analyst = flowAnalyst();
const metrics = await startMetrics({
  process: 'api',
  listen: configuration.metrics.api,
  ledger,
  onError: (error) => logger.error({ err: error }, 'the ledger cannot be read for metrics'),
});

const server = apiServer(
  createApi({
    configuration,
    ledger,
    directory: people,
    safety: {
      ledger: safetyLedger,
      directory: directory(safetyLedger, configuration.people, personProviders(configuration)),
    },
    gateway,
    secrets,
    analyst,
    findApiKey: apiKeyLookup({ configuration, ledger, env: process.env }),
    grantSigner: grantSigner({ configuration, ledger, secrets }),
    decisionSigning: keys.decisionSigning,
    logger,
    now: () => new Date(),
    onAnswered: apiMetrics(metrics.registry),
    ...(tracing === undefined ? {} : { traced: tracing.calls }),
  }),
);

const { host, port } = configuration.listen;
server.once('error', (error) => {
  logger.fatal({ err: error }, `cannot listen on ${host}:${port}; free the port or change "listen" in tenure.yaml`);
  process.exitCode = 1;
  void close();
});
server.listen(port, host, () => logger.info({ address: configuration.publicUrl }, 'api ready'));

let isClosing = false;

/** Finishes what is being answered, then closes the rest in the order it depends on each other. */
async function close(): Promise<void> {
  if (isClosing) return;
  isClosing = true;
  if (server.listening) {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeIdleConnections();
    // A long-poll may take a minute; the client asks again, so it is not waited for.
    const patience = setTimeout(() => server.closeAllConnections(), 10_000);
    await closed;
    clearTimeout(patience);
  }
  await analyst.close();
  await metrics.close();
  await tracing?.close();
  await gateway.close();
  // A store that is away must not keep the rest from closing in order.
  await stores.close().catch((error: unknown) => logger.warn({ err: error }, 'a store did not close'));
  await safetyLedger.close();
  await ledger.close();
  logger.info('api stopped');
  // The disconnect listener would otherwise keep a parent's channel, and with it this process, open.
  if (process.connected) process.disconnect();
}
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void close());
process.once('disconnect', () => void close());
