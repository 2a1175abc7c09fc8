import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { requestKinds } from '../domain/flow/language.ts';
import { finalRequestStates } from '../domain/states.ts';
import type { Ledger } from '../ledger/client.ts';
import { finishedRequests, type Position, presentPosition, servedCredentials } from '../ledger/queries/completions.ts';
import { openMassRevocations } from '../ledger/queries/massRevocations.ts';
import {
  type Backlog,
  dueWork,
  freezesInForce,
  lifecycleAgeSeconds,
  openRequests,
  owedDestroys,
  undeliveredMessages,
  unsealedEvidence,
} from '../ledger/queries/operatingFigures.ts';

export interface LedgerMetricsOptions {
  readonly ledger: Pick<Ledger, 'prisma'>;
  readonly registry: Registry;
  /** A scrape that fails to read the ledger still answers, with `tenure_ledger_up 0`; this is told why. */
  readonly onError: (error: unknown) => void;
  /** How old a reading may be: several scrapers then cost one. */
  readonly cacheMs?: number;
  /** See `Reading.settleMs`. */
  readonly settleMs?: number;
}

const batchSize = 1_000;
const batchesAtMost = 10;

/** Seconds: from an issuer that answers at once to one that needed a person. */
const issuanceBuckets = [0.5, 1, 2, 5, 10, 30, 60, 300, 1_800];
/** A revocation ends one lease after the last creation, hence minutes; what is stuck takes hours. */
const revocationBuckets = [10, 30, 60, 120, 300, 900, 3_600, 14_400, 86_400];

/**
 * Metrics of the whole installation, read from the ledger: every process that serves them serves the same, so they are
 * aggregated with `max`, never `sum`. Counters begin at 0 with the process and count what became final after its first
 * reading, whichever process did it.
 * @returns brings them up to date; never throws, and several calls at once share one reading
 */
export function ledgerMetrics({
  ledger,
  registry,
  onError,
  cacheMs = 5_000,
  settleMs = 10_000,
}: LedgerMetricsOptions): () => Promise<void> {
  const figures = figuresOf(registry);
  const up = new Gauge({
    name: 'tenure_ledger_up',
    help: '1 when the last reading of the ledger succeeded; else 0, and the figures read from it are absent.',
    registers: [registry],
  });
  const completions = completionsOf(registry);
  let reading: Promise<void> | undefined;
  let readUntilMs = Number.NEGATIVE_INFINITY;

  async function read(): Promise<void> {
    try {
      await figures.read(ledger);
      await completions.read(ledger, settleMs);
      up.set(1);
    } catch (error) {
      // A figure of an earlier reading would say that nothing has happened since.
      figures.forget();
      up.set(0);
      onError(error);
    }
    readUntilMs = performance.now() + cacheMs;
  }

  return async () => {
    if (reading === undefined && performance.now() < readUntilMs) return;
    reading ??= read().finally(() => {
      reading = undefined;
    });
    await reading;
  };
}

function figuresOf(registry: Registry) {
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Gauge<L>({ name, help, labelNames, registers: [registry] });
  const open = gauge('tenure_requests_open', 'Open requests by state; counted up to 10000.', ['state']);
  const openOldest = gauge('tenure_requests_open_oldest_seconds', 'Age of the oldest open request by state; 0: none.', [
    'state',
  ]);
  const backlogs: readonly { of: string; read: (rows: Ledger['prisma']) => Promise<Backlog>; what: string }[] = [
    {
      of: 'tenure_owed_destroys',
      read: owedDestroys,
      what: 'final requests that still owe the destroy of a credential',
    },
    { of: 'tenure_evidence_unsealed', read: unsealedEvidence, what: 'evidence entries that are not sealed' },
    { of: 'tenure_due_work', read: dueWork, what: 'rows of scheduled work that are due' },
    { of: 'tenure_outbox_undelivered', read: undeliveredMessages, what: 'messages that have not been delivered' },
    { of: 'tenure_freezes_in_force', read: freezesInForce, what: 'freezes that hold' },
  ];
  const gauges = backlogs.map(({ of, read, what }) => ({
    read,
    count: gauge(of, `Number of ${what}; counted up to 10000.`),
    oldest: gauge(`${of}_oldest_seconds`, `Age of the oldest of the ${what}; 0: none.`),
  }));
  const revocations = gauge(
    'tenure_mass_revocation_subjects',
    'Identities that open mass revocations have still to revoke, by issuer: waiting, under-way, stuck.',
    ['issuer', 'state'],
  );
  const lifecycle = gauge(
    'tenure_lifecycle_last_success_seconds',
    'Since the lifecycle last finished a run; since the installation was made when it never has.',
  );

  return {
    async read({ prisma }: Pick<Ledger, 'prisma'>): Promise<void> {
      for (const { state, count, oldestSeconds } of await openRequests(prisma)) {
        open.set({ state }, count);
        openOldest.set({ state }, oldestSeconds);
      }
      for (const { read, count, oldest } of gauges) {
        const backlog = await read(prisma);
        count.set(backlog.count);
        oldest.set(backlog.oldestSeconds);
      }
      const byIssuer = await openMassRevocations(prisma);
      // An issuer that has nothing left to revoke has no row.
      revocations.reset();
      for (const { issuer, waiting, underWay, stuck } of byIssuer) {
        revocations.set({ issuer, state: 'waiting' }, waiting);
        revocations.set({ issuer, state: 'under-way' }, underWay);
        revocations.set({ issuer, state: 'stuck' }, stuck);
      }
      lifecycle.set(await lifecycleAgeSeconds(prisma));
    },
    forget(): void {
      open.reset();
      openOldest.reset();
      revocations.reset();
      lifecycle.remove();
      for (const { count, oldest } of gauges) {
        count.remove();
        oldest.remove();
      }
    },
  };
}

function completionsOf(registry: Registry) {
  const finished = new Counter({
    name: 'tenure_requests_finished_total',
    help: 'Requests that became final, by kind and final state.',
    labelNames: ['kind', 'outcome'],
    registers: [registry],
  });
  // All series exist from the start: an increase over one that appears with its first failure misses that failure.
  for (const kind of requestKinds) for (const outcome of finalRequestStates) finished.inc({ kind, outcome }, 0);
  const issuance = new Histogram({
    name: 'tenure_issuance_seconds',
    help: 'From begin to the credential being served by its store, by kind of request.',
    labelNames: ['kind'],
    buckets: issuanceBuckets,
    registers: [registry],
  });
  const revocation = new Histogram({
    name: 'tenure_revocation_seconds',
    help: 'From asking for a revocation to its completion with receipts.',
    buckets: revocationBuckets,
    registers: [registry],
  });
  let requestsRead: Position | undefined;
  let credentialsRead: Position | undefined;

  return {
    /** Takes up where the last reading ended; a failed one is repeated from there, so nothing is counted twice. */
    async read({ prisma }: Pick<Ledger, 'prisma'>, settleMs: number): Promise<void> {
      const start =
        requestsRead !== undefined && credentialsRead !== undefined ? undefined : await presentPosition(prisma);
      requestsRead ??= start;
      credentialsRead ??= start;
      for (let batch = 0; batch < batchesAtMost && requestsRead !== undefined; batch += 1) {
        const rows = await finishedRequests(prisma, { after: requestsRead, limit: batchSize, settleMs });
        for (const { kind, outcome, seconds } of rows) {
          finished.inc({ kind, outcome });
          if (kind === 'revocation' && outcome === 'completed') revocation.observe(seconds);
        }
        requestsRead = rows.at(-1) ?? requestsRead;
        if (rows.length < batchSize) break;
      }
      for (let batch = 0; batch < batchesAtMost && credentialsRead !== undefined; batch += 1) {
        const rows = await servedCredentials(prisma, { after: credentialsRead, limit: batchSize, settleMs });
        for (const { kind, seconds } of rows) issuance.observe({ kind }, seconds);
        credentialsRead = rows.at(-1) ?? credentialsRead;
        if (rows.length < batchSize) break;
      }
    },
  };
}
