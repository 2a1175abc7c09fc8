import type { ClientInterceptors } from '@temporalio/client';
import type { InjectedSinks, WorkerInterceptors } from '@temporalio/worker';
import type { RequestHandler } from 'express';

/** What a process that traces hangs into Temporal and into its own HTTP server. */
export interface Tracing {
  /** A span for each call of the API. */
  readonly calls: RequestHandler;
  readonly client: ClientInterceptors;
  readonly worker: WorkerInterceptors;
  /** The ends of the spans that workflow code makes. */
  readonly sinks: TraceSinks;
  /** Sends what is left. Never throws: a collector that is away must not keep a process from ending. */
  close(): Promise<void>;
}

/** `exporter` is the name that the SDK's workflow interceptors call. */
export type TraceSinks = InjectedSinks<{ exporter: { export(spans: never[]): void } }>;

/** For workers that export no traces: a run may have been started by a client that does. */
export const noTraceSinks: TraceSinks = { exporter: { export: { fn: () => undefined } } };

/** The environment asks for a way of exporting that there is not. Nothing was started. */
export class TracingUnavailable extends Error {
  override readonly name = 'TracingUnavailable';
}

/**
 * Traces when the environment names a collector (OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT), as
 * OTLP over HTTP with JSON; everything else is OpenTelemetry's own: OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER,
 * OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME, OTEL_SDK_DISABLED. Without a collector nothing is loaded.
 * @returns undefined when nothing is to be traced
 * @throws TracingUnavailable when another protocol is asked for
 */
export async function startTracing({
  service,
  env,
  onError,
}: {
  readonly service: string;
  readonly env: NodeJS.ProcessEnv;
  readonly onError: (message: string) => void;
}): Promise<Tracing | undefined> {
  if (!env['OTEL_EXPORTER_OTLP_ENDPOINT'] && !env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT']) return undefined;
  if (env['OTEL_SDK_DISABLED']?.toLowerCase() === 'true') return undefined;
  const protocol = env['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL'] ?? env['OTEL_EXPORTER_OTLP_PROTOCOL'] ?? 'http/json';
  if (protocol !== 'http/json')
    throw new TracingUnavailable(
      `Traces cannot be exported as ${protocol}. Set OTEL_EXPORTER_OTLP_PROTOCOL=http/json, which every OTLP/HTTP collector takes, or unset it.`,
    );
  const { openTelemetry } = await import('./openTelemetry.ts');
  return openTelemetry({ service: env['OTEL_SERVICE_NAME'] ?? service, onError });
}
