import { DiagLogLevel, diag, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { detectResourcesSync, envDetectorSync, Resource } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import {
  makeWorkflowExporter,
  OpenTelemetryActivityInboundInterceptor,
  OpenTelemetryWorkflowClientInterceptor,
} from '@temporalio/interceptors-opentelemetry';
import type { ActivityInboundCallsInterceptor } from '@temporalio/worker';
import { idPattern } from '../domain/ids.ts';
import { shownSpans } from './shownSpans.ts';
import { tracedCalls } from './tracedCalls.ts';
import type { Tracing } from './tracing.ts';

/**
 * Sets up OpenTelemetry in this process, once: W3C trace context and no baggage, which carries what callers put in. Only
 * ever imported by a process that traces.
 */
export function openTelemetry({
  service,
  onError,
}: {
  readonly service: string;
  readonly onError: (message: string) => void;
}): Tracing {
  const ignored = (): void => undefined;
  // Messages only: what else the libraries hand over may be a response of the collector.
  diag.setLogger({ error: onError, warn: onError, info: ignored, debug: ignored, verbose: ignored }, DiagLogLevel.WARN);
  const resource = detectResourcesSync({ detectors: [envDetectorSync] }).merge(
    new Resource({ 'service.name': service }),
  );
  const processor = new BatchSpanProcessor(shownSpans(new OTLPTraceExporter()));
  const provider = new BasicTracerProvider({ resource, spanProcessors: [processor] });
  provider.register({
    contextManager: new AsyncLocalStorageContextManager().enable(),
    propagator: new W3CTraceContextPropagator(),
  });
  return {
    calls: tracedCalls(provider.getTracer('tenure-api')),
    client: { workflow: [new OpenTelemetryWorkflowClientInterceptor()] },
    worker: { activity: [(context) => ({ inbound: new OpenTelemetryActivityInboundInterceptor(context) }), withIds] },
    sinks: { exporter: makeWorkflowExporter(processor, resource) },
    async close() {
      await provider
        .shutdown()
        .catch((error: unknown) => onError(error instanceof Error ? error.message : String(error)));
    },
  };
}

/** Names the request and the identity of an activity on its span: what an operator searches for. */
function withIds(): { inbound: ActivityInboundCallsInterceptor } {
  return {
    inbound: {
      execute(input, next) {
        const [order] = input.args;
        if (typeof order === 'object' && order !== null) {
          const span = trace.getActiveSpan();
          if ('requestId' in order && isId(order.requestId)) span?.setAttribute('tenure.request_id', order.requestId);
          if ('identityId' in order && isId(order.identityId))
            span?.setAttribute('tenure.identity_id', order.identityId);
        }
        return next(input);
      },
    },
  };
}

function isId(value: unknown): value is string {
  return typeof value === 'string' && idPattern.test(value);
}
