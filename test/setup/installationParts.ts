import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime } from '@temporalio/worker';
import { pino } from 'pino';
import { issuanceEffects } from '../../activities/issuance.ts';
import { createAgentKeyIssuer } from '../../activities/issuers/agentKey.ts';
import type { Issuer } from '../../activities/issuers/issuer.ts';
import { createPostgresRoleIssuer } from '../../activities/issuers/postgresRole.ts';
import { createSigningKeyIssuer } from '../../activities/issuers/signingKey.ts';
import { ledgerActivities } from '../../activities/ledger.ts';
import { lifecycleActivities } from '../../activities/lifecycle.ts';
import { orderedEffects } from '../../activities/orderedEffects.ts';
import { reconcilePage } from '../../activities/reconciliation.ts';
import { createSealedStore } from '../../activities/stores/sealed.ts';
import { sealedKey, sealedKeys } from '../../activities/stores/sealedKeys.ts';
import type { Store } from '../../activities/stores/store.ts';
import { type TemporalGateway, temporalGateway } from '../../api/temporalGateway.ts';
import { dataConverter } from '../../configuration/dataConverter.ts';
import { type Keys, loadKeys } from '../../configuration/keys.ts';
import type { Activities, Effects, LedgerActivities } from '../../contracts/activities.ts';
import { defaultPace, type RevocationPace } from '../../domain/massRevocation.ts';
import type { Ledger } from '../../ledger/client.ts';
import { type OpenedLedger, openLedger } from '../../ledger/openLedger.ts';
import { createWorker } from '../../worker/createWorker.ts';
import { makeCurrent } from '../../worker/deploymentRouting.ts';
import { deploymentVersion } from '../../worker/deploymentVersion.ts';
import { dispatchOutbox } from '../../worker/dispatchOutbox.ts';
import { driveMassRevocations } from '../../worker/driveMassRevocations.ts';

const version = deploymentVersion('tenure');
const { deploymentName } = version;

// The faults of the tests make the SDK warn of what they are meant to do.
Runtime.install({
  logger: new DefaultLogger('ERROR'),
  telemetryOptions: { logging: { filter: { core: 'ERROR', other: 'ERROR' } } },
});

/** Where an installation is; plain JSON, so that another process can open the same one. */
export interface InstallationPlace {
  readonly databaseUrl: string;
  readonly keyDirectory: string;
  /** Base64, 32 bytes. */
  readonly sealedKey: string;
  readonly leaseMs: number;
  readonly temporal: { readonly address: string; readonly namespace: string };
}

/** Faults are put in at these edges only; each is given the real part. */
export interface Wraps {
  readonly wrapIssuer?: (issuer: Issuer) => Issuer;
  readonly wrapStore?: (store: Store) => Store;
  /** The ledger as its activities, one transaction each, get it. */
  readonly wrapLedger?: (ledger: Ledger) => Ledger;
  readonly wrapLedgerActivities?: (activities: LedgerActivities) => LedgerActivities;
}

export interface PartsOptions extends Wraps {
  /** What mass revocations may ask of an issuer, by its name; what tenure.yaml gives by default when left out. */
  readonly paceOf?: (issuer: string) => RevocationPace;
  /** Between two looks of the worker's background; short when left out, so that tests wait little. */
  readonly intervalsMs?: { readonly outbox: number; readonly massRevocations: number };
}

export interface InstallationParts {
  readonly ledger: OpenedLedger;
  readonly keys: Keys;
  readonly client: Client;
  readonly gateway: TemporalGateway;
  /** The real ones, without any wrap. */
  readonly issuer: Issuer;
  readonly store: Store;
  /** On the wrapped parts. */
  readonly activities: Activities;
  /** The same effects, past their orders. */
  readonly effects: Effects;
  /** A worker of this installation, with its outbox. Returns how to stop both. */
  startWorker(): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

/** The parts that `worker/main.ts` wires, on an installation that exists: its database, keys and namespace. */
export async function installationParts(
  place: InstallationPlace,
  options: PartsOptions = {},
): Promise<InstallationParts> {
  const { wrapIssuer = same, wrapStore = same, wrapLedger = same, wrapLedgerActivities = same } = options;
  const { paceOf = () => defaultPace, intervalsMs = { outbox: 50, massRevocations: 50 } } = options;
  const { address, namespace } = place.temporal;
  const keys = loadKeys(place.keyDirectory, { create: true });
  // As many connections as worker/main.ts: transactions that hang must not keep the others waiting.
  const ledger = await openLedger({
    databaseUrl: place.databaseUrl,
    host: 'tenure.test',
    leaseMs: place.leaseMs,
    poolSize: 20,
    keys,
  });
  const connection = await Connection.connect({ address });
  const converter = dataConverter(keys.payload);
  const gateway = temporalGateway({ namespace, connectionOptions: { address }, dataConverter: converter });

  const realIssuer = createPostgresRoleIssuer('main-db', {
    url: place.databaseUrl,
    scopes: {},
    installationId: ledger.installation.id,
  });
  const key = sealedKey(place.sealedKey, 'the test');
  const realStore = createSealedStore('sealed', { keys: sealedKeys(key), prisma: ledger.prisma });
  const issuer = wrapIssuer(realIssuer);
  const ofOurOwn = { prisma: ledger.prisma, installationId: ledger.installation.id };
  const issuersOfOurOwn: Readonly<Record<string, Issuer>> = {
    signing: createSigningKeyIssuer('signing', ofOurOwn),
    agents: createAgentKeyIssuer('agents', { ...ofOurOwn, scopes: ['search:read', 'search:write', 'mail:send'] }),
  };
  const issuerNamed = (name: string) => issuersOfOurOwn[name] ?? issuer;
  const store = wrapStore(realStore);
  const effects = issuanceEffects({
    ledger,
    issuer: issuerNamed,
    store: () => store,
    fingerprintKey: keys.fingerprint,
  });
  const onError = (error: unknown, what: string) => console.error(what, error);
  const activities: Activities = {
    ...wrapLedgerActivities(ledgerActivities(wrapLedger(ledger))),
    ...orderedEffects({ ledger, effects }),
    ...lifecycleActivities({
      ledger,
      destroy: effects.destroy,
      reconcile: reconcilePage({ ledger, issuer: issuerNamed, store: () => store, effects, onError }),
      starts: gateway,
      onError,
    }),
  };

  async function startWorker(): Promise<() => Promise<void>> {
    const native = await NativeConnection.connect({ address });
    const worker = await createWorker({ connection: native, namespace, dataConverter: converter, version, activities });
    const ending = new AbortController();
    const logger = pino({ level: 'silent' });
    const outbox = dispatchOutbox({
      ledger,
      starts: gateway,
      logger,
      intervalMs: intervalsMs.outbox,
      signal: ending.signal,
    });
    const revoking = driveMassRevocations({
      ledger,
      paceOf,
      intervalMs: intervalsMs.massRevocations,
      signal: ending.signal,
      onError,
    });
    const running = worker.run();
    await makeCurrent({ service: connection.workflowService, namespace, deploymentName }, version.buildId, {
      patienceMs: 60_000,
    });
    return async () => {
      ending.abort();
      if (worker.getState() === 'RUNNING') worker.shutdown();
      await Promise.all([running, outbox, revoking]);
      await native.close();
    };
  }

  return {
    ledger,
    keys,
    client: new Client({ connection, namespace, dataConverter: converter }),
    gateway,
    issuer: realIssuer,
    store: realStore,
    activities,
    effects,
    startWorker,
    async close() {
      await gateway.close();
      await connection.close();
      await realIssuer.close();
      await ledger.close();
    },
  };
}

function same<T>(part: T): T {
  return part;
}
