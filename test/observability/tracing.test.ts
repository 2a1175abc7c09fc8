import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base';
import { expect, test } from 'vitest';
import { shownSpans } from '../../observability/shownSpans.ts';
import { startTracing, TracingUnavailable } from '../../observability/tracing.ts';

const start = (env: NodeJS.ProcessEnv) => startTracing({ service: 'tenure-test', env, onError: () => undefined });
const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' };

test('without a collector in the environment nothing is traced', async () => {
  expect(await start({})).toBeUndefined();
  expect(await start({ OTEL_SERVICE_NAME: 'x', OTEL_TRACES_SAMPLER: 'always_on' })).toBeUndefined();
  expect(await start({ ...endpoint, OTEL_SDK_DISABLED: 'true' })).toBeUndefined();
});

test('without a collector the OpenTelemetry SDK is not even loaded', async () => {
  const script = `
    const { registerHooks } = await import('node:module');
    const loaded = [];
    registerHooks({ load(url, context, next) { loaded.push(url); return next(url, context); } });
    const { startTracing } = await import(${JSON.stringify(new URL('../../observability/tracing.ts', import.meta.url).href)});
    await startTracing({ service: 'x', env: {}, onError() {} });
    console.log(JSON.stringify(loaded));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
  });
  const loaded: string[] = JSON.parse(stdout);
  expect(loaded.length).toBeGreaterThan(0);
  expect(loaded.filter((url) => url.includes('opentelemetry') || url.includes('node_modules'))).toEqual([]);
});

test.each(['grpc', 'http/protobuf'])('%s, which is not exported, is refused with what to set', async (protocol) => {
  await expect(start({ ...endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: protocol })).rejects.toThrow(TracingUnavailable);
  await expect(start({ ...endpoint, OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: protocol })).rejects.toThrow(/http\/json/);
});

test('of a span only what is listed leaves, whatever a library put into it', () => {
  const canary = 'ann.canary@example.com';
  const span = {
    name: 'RunActivity:create',
    kind: 0,
    spanContext: () => ({ traceId: '1'.repeat(32), spanId: '2'.repeat(16), traceFlags: 1, traceState: canary }),
    startTime: [0, 0],
    endTime: [1, 0],
    status: { code: 2, message: canary },
    attributes: { temporalWorkflowId: 'onboarding/x', memo: canary, temporalTerminateReason: canary },
    links: [{ context: { traceId: canary, spanId: canary, traceFlags: 1 } }],
    events: [
      {
        name: canary,
        time: [1, 0],
        attributes: { 'exception.type': 'IssuerRefused', 'exception.message': canary, 'exception.stacktrace': canary },
      },
    ],
    duration: [1, 0],
    ended: true,
    resource: {},
    instrumentationLibrary: { name: 'x' },
  } as unknown as ReadableSpan;
  let exported: readonly ReadableSpan[] = [];
  const exporter = shownSpans({
    export(spans, done) {
      exported = spans;
      done({ code: 0 });
    },
    shutdown: async () => undefined,
  });
  exporter.export([span], () => undefined);
  expect(JSON.stringify(exported.map((shown) => ({ ...shown, context: shown.spanContext() })))).not.toContain('canary');
  expect(exported).toMatchObject([
    {
      attributes: { temporalWorkflowId: 'onboarding/x' },
      events: [{ attributes: { 'exception.type': 'IssuerRefused' } }],
    },
  ]);
});
