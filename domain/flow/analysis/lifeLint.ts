import { durationMs } from '../duration.ts';
import type { Flow } from '../language.ts';
import type { Found } from './lint.ts';
import type { FlowPath, PathStep } from './path.ts';
import { durationWords } from './pathWords.ts';
import { spanWords } from './words.ts';

/** Paths whose waits and time-outs last longer, one after the other, than the request may live. */

export function lifeFindings(flow: Flow, paths: readonly FlowPath[]): readonly Found[] {
  const { requestTtl } = flow.limits;
  const lifeMs = durationMs(requestTtl);
  const found = new Map<string, Found>();
  for (const { steps } of paths) {
    let sumMs = 0;
    for (const step of steps) {
      const stands = standsFor(step);
      sumMs += stands.ms;
      if (sumMs <= lifeMs) continue;
      const { id } = step.stage;
      const message = `Waits and time-outs up to stage ${id} may last ${spanWords(BigInt(sumMs))} together; the request ends after ${durationWords(requestTtl)} (limits.requestTtl).`;
      const suggestion = 'Shorten them, or let the request live longer.';
      const path = ['stages', flow.stages.indexOf(step.stage), ...stands.path];
      if (!found.has(id)) found.set(id, { rule: 'life-too-short', severity: 'error', path, message, suggestion });
      break;
    }
  }
  return [...found.values()];
}

/** How long the request may stand there, and where the flow says so. */
function standsFor({ stage, outcome }: PathStep): { readonly ms: number; readonly path: readonly string[] } {
  const isPassed = outcome.is === 'skipped' || outcome.is === 'waived' || outcome.is === 'passed-over';
  if (isPassed) return { ms: 0, path: [] };
  if ('wait' in stage) return { ms: durationMs(stage.wait.for), path: ['wait', 'for'] };
  if ('approval' in stage)
    return { ms: durationMs(stage.approval.timeout.after), path: ['approval', 'timeout', 'after'] };
  return { ms: 0, path: [] };
}
