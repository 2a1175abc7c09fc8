import { Registry } from 'prom-client';
import type { Ledger } from '../ledger/client.ts';
import { ledgerMetrics } from './ledgerMetrics.ts';
import { type ListenAddress, type MetricsListener, serveMetrics } from './metricsListener.ts';
import { runtimeMetrics } from './processMetrics.ts';

export interface ProcessMetrics {
  /** Where the process adds what only it can count. */
  readonly registry: Registry;
  close(): Promise<void>;
}

/**
 * The metrics of one process: of its runtime, of the ledger, and what the process adds; served where `listen` says, or
 * nowhere.
 * @throws MetricsNotServed when the port cannot be had
 */
export async function startMetrics({
  process,
  listen,
  ledger,
  onError,
}: {
  readonly process: 'api' | 'worker';
  readonly listen: ListenAddress | undefined;
  readonly ledger: Pick<Ledger, 'prisma'>;
  readonly onError: (error: unknown) => void;
}): Promise<ProcessMetrics> {
  const registry = new Registry();
  let listener: MetricsListener | undefined;
  if (listen !== undefined) {
    runtimeMetrics(registry, process);
    listener = await serveMetrics({ listen, registry, refresh: ledgerMetrics({ ledger, registry, onError }), onError });
  }
  return { registry, close: async () => listener?.close() };
}
