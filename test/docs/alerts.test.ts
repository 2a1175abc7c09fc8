import { readFileSync } from 'node:fs';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import type { Effects } from '../../contracts/activities.ts';
import { openRequestStates } from '../../ledger/queries/operatingFigures.ts';
import { ledgerMetrics } from '../../observability/ledgerMetrics.ts';
import {
  apiMetrics,
  countedEffects,
  evidenceMetrics,
  runtimeMetrics,
  workerMetrics,
} from '../../observability/processMetrics.ts';

const text = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

/** Prometheus' rule file: what it refuses, this refuses. */
const Rules = z.strictObject({
  groups: z.array(
    z.strictObject({
      name: z.string(),
      rules: z.array(
        z.strictObject({
          alert: z.string().regex(/^Tenure[A-Z]\w+$/),
          expr: z.string(),
          for: z
            .string()
            .regex(/^\d+[smhd]$/)
            .optional(),
          labels: z.strictObject({ severity: z.enum(['critical', 'warning', 'info']) }),
          annotations: z.strictObject({ summary: z.string() }),
        }),
      ),
    }),
  ),
});
const alerts = Rules.parse(parse(text('docs/alerts.yaml'))).groups.flatMap(({ rules }) => rules);

/** Everything that API and worker register, by metric: its labels, and the names of its series. */
async function registered(): Promise<Map<string, readonly string[]>> {
  const registry = new Registry();
  const effect = async () => {
    throw new Error('not called');
  };
  const effects: Effects = { create: effect, promote: effect, quarantine: effect, destroy: effect };
  runtimeMetrics(registry, 'api');
  apiMetrics(registry);
  evidenceMetrics(registry, []);
  countedEffects(effects, registry);
  workerMetrics(registry, () => ({
    numInFlightNonLocalActivities: 0,
    numInFlightLocalActivities: 0,
    numInFlightWorkflowActivations: 0,
    numCachedWorkflows: 0,
  }));
  const { prisma } = { prisma: {} } as unknown as Parameters<typeof ledgerMetrics>[0]['ledger'];
  ledgerMetrics({ ledger: { prisma }, registry, onError: () => undefined });
  const series = new Map<string, readonly string[]>();
  for (const { name, type } of await registry.getMetricsAsJSON()) {
    const labels: readonly string[] = Reflect.get(registry.getSingleMetric(name) ?? {}, 'labelNames');
    const suffixes = type.toString() === 'histogram' ? ['_bucket', '_count', '_sum'] : [''];
    for (const suffix of suffixes) series.set(`${name}${suffix}`, suffix === '_bucket' ? [...labels, 'le'] : labels);
  }
  return series;
}

test('every metric and label that an alert names is one that API or worker serves', async () => {
  const series = await registered();
  for (const { alert, expr } of alerts) {
    const named = [...expr.matchAll(/(tenure_\w+)(?:\{([^}]*)\})?/g)];
    expect(named.length, alert).toBeGreaterThan(0);
    for (const [, metric = '', selector = ''] of named) {
      expect([...series.keys()], alert).toContain(metric);
      for (const [, label] of selector.matchAll(/(\w+)=/g))
        expect(series.get(metric), `${alert}: ${metric}`).toContain(label);
    }
    const metrics = named.map(([, metric = '']) => metric);
    for (const [, labels = ''] of expr.matchAll(/by \(([^)]*)\)/g))
      for (const label of labels.split(/, */))
        expect(
          metrics.flatMap((metric) => series.get(metric) ?? []),
          `${alert}: by ${label}`,
        ).toContain(label);
  }
});

test('every state that an alert asks for is one that is reported', () => {
  const asked = alerts.flatMap(({ expr }) => [...expr.matchAll(/state="([^"]+)"/g)].map(([, state]) => state));
  expect(asked.length).toBeGreaterThan(0);
  for (const state of asked) expect(openRequestStates).toContain(state);
});

test('docs/operating.md says of every alert what it means, of every metric what it is, and of nothing else', async () => {
  const page = text('docs/operating.md');
  expect([...page.matchAll(/^### (\w+)$/gm)].map(([, alert]) => alert)).toEqual(alerts.map(({ alert }) => alert));
  const series = await registered();
  const metrics = [...series.keys()].filter((name) => /^tenure_/.test(name) && !/_(bucket|sum)$/.test(name));
  for (const name of metrics) expect(page, name).toContain(`\`${name.replace(/_(count|oldest_seconds)$/, '')}`);
  for (const [, named = ''] of page.matchAll(/`(tenure_[a-z_]+)/g))
    if (named !== 'tenure_')
      expect(
        metrics.map((name) => name.replace(/_count$/, '')),
        named,
      ).toContain(named);
});
