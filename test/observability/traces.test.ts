import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { eventually } from '../setup/eventually.ts';
import { accountRequest, openStage, type StoryStage } from '../stories/embedded.ts';
import { type CollectedSpan, type Collector, startCollector } from './collector.ts';

let collector: Collector;
let stage: StoryStage;

beforeAll(async () => {
  collector = await startCollector();
  process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = collector.endpoint;
  process.env['OTEL_BSP_SCHEDULE_DELAY'] = '100';
  stage = await openStage();
}, 120_000);
afterAll(async () => {
  delete process.env['OTEL_EXPORTER_OTLP_ENDPOINT'];
  delete process.env['OTEL_BSP_SCHEDULE_DELAY'];
  await stage?.close();
  await collector?.close();
});

/** From the root to the span, by name. */
function pathTo(span: CollectedSpan): string[] {
  const parent = collector.spans.find(({ spanId }) => spanId === span.parentSpanId);
  return [...(parent === undefined ? [] : pathTo(parent)), span.name];
}

test('one trace leads from the call through the workflow to each activity, and names nobody and no secret', {
  timeout: 120_000,
}, async () => {
  const canary = 'canary-justification';
  const requester = await stage.as('requester');
  const Opened = z.object({ id: z.string(), identityId: z.string() });
  const opened = Opened.parse(
    await requester.post('/v1/identities', accountRequest({ environment: 'staging', justification: canary })),
  );
  const { id, identityId } = opened;
  const pipeline = await stage.asPipeline('deploy');
  const { value } = await eventually(
    async () => z.object({ value: z.string() }).parse(await pipeline.get(`/v1/identities/${identityId}/secret`)),
    60_000,
  );

  const spansNamed = (name: string) => collector.spans.filter((span) => span.name === name);
  await eventually(async () => {
    for (const name of ['RunActivity:open', 'RunActivity:create', 'RunActivity:promote', 'RunWorkflow:onboarding'])
      expect(spansNamed(name), name).not.toEqual([]);
  }, 30_000);
  const [call] = spansNamed('POST /v1/identities');
  const [create] = spansNamed('RunActivity:create');
  if (call === undefined || create === undefined) throw new Error('the spans are missing');
  expect(call).toMatchObject({
    service: 'tenure-api',
    parentSpanId: undefined,
    attributes: { 'http.route': '/v1/identities', 'http.response.status_code': 202, 'tenure.request_id': id },
  });
  expect(create).toMatchObject({
    service: 'tenure-worker',
    traceId: call.traceId,
    attributes: { 'tenure.identity_id': identityId, temporalWorkflowId: `onboarding/${identityId}` },
  });
  expect(pathTo(create)).toEqual([
    'POST /v1/identities',
    'UpdateWithStartWorkflow:open',
    'RunWorkflow:onboarding',
    'StartActivity:create',
    'RunActivity:create',
  ]);

  const sent = collector.sent();
  for (const hidden of [value, canary, '@tenure.example', 'order-service', 'Bearer ', 'postgresql://'])
    expect(sent, hidden).not.toContain(hidden);
});

test('what an error says stays in the log: its span has the type alone', { timeout: 60_000 }, async () => {
  const responder = await stage.as('responder');
  const before = collector.spans.length;
  const missing = 'ann.canary@example.com';
  await expect(responder.get(`/v1/requests/${missing}`)).rejects.toThrow();
  await eventually(async () => expect(collector.spans.length).toBeGreaterThan(before));
  expect(collector.sent()).not.toContain('canary@');
  const allowed = /^(http\.|tenure\.|temporal|run_id$|runId$|workflow|taskQueue$|attempt$)/;
  expect(
    collector.spans.flatMap(({ attributes }) => Object.keys(attributes)).filter((key) => !allowed.test(key)),
  ).toEqual([]);
});
