import { Counter, collectDefaultMetrics, Gauge, Histogram, type Registry } from 'prom-client';
import type { AnsweredCall } from '../api/answeredCalls.ts';
import type { Effects } from '../contracts/activities.ts';

/** That this process is there; its memory, event loop and garbage collection under the names that dashboards know. */
export function runtimeMetrics(registry: Registry, process: 'api' | 'worker'): void {
  new Gauge({
    name: 'tenure_process_up',
    help: '1, by what the process is: there is none when no process of the kind is scraped.',
    labelNames: ['process'],
    registers: [registry],
  }).set({ process }, 1);
  collectDefaultMetrics({ register: registry });
}

/** Seconds: reads take milliseconds, a start a fraction of a second, a long-poll up to a minute. */
const callBuckets = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 60];

/** @returns counts one answered call; its labels come from the route table and a status, never from what was sent */
export function apiMetrics(registry: Registry): (call: AnsweredCall) => void {
  const calls = new Histogram({
    name: 'tenure_api_request_seconds',
    help: 'Calls that were answered, by method, route template and status.',
    labelNames: ['method', 'route', 'status'],
    buckets: callBuckets,
    registers: [registry],
  });
  return ({ method, route, status, seconds }) => calls.observe({ method, route, status: String(status) }, seconds);
}

/** The effects as they are, each attempt counted by how it ended. An error is passed on untouched. */
export function countedEffects(effects: Effects, registry: Registry): Effects {
  const attempts = new Counter({
    name: 'tenure_effect_attempts_total',
    help: 'Attempts of effects on issuers and stores, by effect and by whether they succeeded.',
    labelNames: ['effect', 'outcome'],
    registers: [registry],
  });
  function counted<I, O>(effect: keyof Effects, carryOut: (input: I) => Promise<O>): (input: I) => Promise<O> {
    // Both series exist from the start: a rate over a series that appears with its first failure misses that failure.
    attempts.inc({ effect, outcome: 'succeeded' }, 0);
    attempts.inc({ effect, outcome: 'failed' }, 0);
    return async (input) => {
      try {
        const result = await carryOut(input);
        attempts.inc({ effect, outcome: 'succeeded' });
        return result;
      } catch (error) {
        attempts.inc({ effect, outcome: 'failed' });
        throw error;
      }
    };
  }
  return {
    create: counted('create', effects.create),
    promote: counted('promote', effects.promote),
    quarantine: counted('quarantine', effects.quarantine),
    destroy: counted('destroy', effects.destroy),
  };
}

/** What the Temporal worker says of itself. */
export interface WorkerOccupation {
  readonly numInFlightNonLocalActivities: number;
  readonly numInFlightLocalActivities: number;
  readonly numInFlightWorkflowActivations: number;
  readonly numCachedWorkflows: number;
}

/** Slots in use, read at each scrape. */
export function workerMetrics(registry: Registry, occupation: () => WorkerOccupation): void {
  const inUse = new Gauge({
    name: 'tenure_worker_slots_in_use',
    help: 'What this worker carries out now, by kind of work.',
    labelNames: ['work'],
    registers: [registry],
    collect() {
      const now = occupation();
      inUse.set({ work: 'activities' }, now.numInFlightNonLocalActivities);
      inUse.set({ work: 'local-activities' }, now.numInFlightLocalActivities);
      inUse.set({ work: 'workflow-tasks' }, now.numInFlightWorkflowActivations);
    },
  });
  const cached = new Gauge({
    name: 'tenure_worker_cached_workflows',
    help: 'Workflow runs that this worker keeps in memory.',
    registers: [registry],
    collect() {
      cached.set(occupation().numCachedWorkflows);
    },
  });
}

/** By what this worker saw itself, so that no row in the database can take it back. */
export function evidenceMetrics(
  registry: Registry,
  watches: readonly { readonly part: string; isFailing(): boolean }[],
): void {
  const failing = new Gauge({
    name: 'tenure_evidence_failing',
    help: '1 while evidence is not sealed (sealing), or while sealed evidence was found changed (verification).',
    labelNames: ['part'],
    registers: [registry],
    collect() {
      for (const watch of watches) failing.set({ part: watch.part }, watch.isFailing() ? 1 : 0);
    },
  });
}
