import type { Attributes } from '@opentelemetry/api';
import type { ExportResult } from '@opentelemetry/core';
import type { ReadableSpan, SpanExporter, TimedEvent } from '@opentelemetry/sdk-trace-base';

/**
 * What may leave: ids, names of ours, numbers. The libraries that make spans put in more (error messages, whole
 * `workflowInfo`s, whatever a later version adds), any of which may name a person or quote a server.
 */
const shownAttributes = new Set([
  'http.request.method',
  'http.route',
  'http.response.status_code',
  'tenure.request_id',
  'tenure.identity_id',
  'temporalWorkflowId',
  'temporalActivityId',
  'temporalUpdateId',
  'run_id',
  'workflowType',
  'workflowId',
  'runId',
  'taskQueue',
  'attempt',
]);
const shownOfExceptions = new Set(['exception.type']);

/** Exports spans without what is not on the list: attributes, messages of errors and of states, links, trace state. */
export function shownSpans(exporter: SpanExporter): SpanExporter {
  return {
    export: (spans: ReadableSpan[], done: (result: ExportResult) => void) => exporter.export(spans.map(shown), done),
    shutdown: () => exporter.shutdown(),
    ...(exporter.forceFlush === undefined ? {} : { forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve() }),
  };
}

function shown(span: ReadableSpan): ReadableSpan {
  return {
    name: span.name,
    kind: span.kind,
    spanContext: () => {
      const { traceId, spanId, traceFlags } = span.spanContext();
      return { traceId, spanId, traceFlags };
    },
    ...(span.parentSpanId === undefined ? {} : { parentSpanId: span.parentSpanId }),
    startTime: span.startTime,
    endTime: span.endTime,
    status: { code: span.status.code },
    attributes: only(span.attributes, shownAttributes),
    links: [],
    events: span.events.map(shownEvent),
    duration: span.duration,
    ended: span.ended,
    resource: span.resource,
    instrumentationLibrary: span.instrumentationLibrary,
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}

/** Only exceptions are events here; of one, its type tells what to look for in the log. */
function shownEvent({ time, attributes = {} }: TimedEvent): TimedEvent {
  return { name: 'exception', time, attributes: only(attributes, shownOfExceptions) };
}

function only(attributes: Attributes, names: ReadonlySet<string>): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([name]) => names.has(name)));
}
