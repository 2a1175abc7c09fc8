import { longestGrantTtl } from '../stepUp.ts';
import { durationMs } from './duration.ts';
import type { BrokenRule, FlowSketch } from './flowRules.ts';

/** What must hold where a flow grants access, or asks for an agent's key. */

export function stepUpRules({ on, kind, grantTtl, stages }: FlowSketch): readonly BrokenRule[] {
  const broken: BrokenRule[] = [];
  if (grantTtl !== undefined && on !== undefined && on !== 'step-up')
    broken.push({ path: ['limits', 'grantTtl'], reason: `a flow on ${on} grants nothing` });
  if (grantTtl !== undefined && durationMs(grantTtl) > durationMs(longestGrantTtl))
    broken.push({
      path: ['limits', 'grantTtl'],
      reason: `a grant lives at most ${longestGrantTtl}: ask again instead`,
    });
  if (on === 'step-up' && kind !== undefined && kind !== 'agent')
    broken.push({ path: ['subject', 'kind'], reason: `only agents ask for step-ups, never a ${kind}` });
  for (const [index, stage] of stages.entries()) {
    if (stage === undefined || !('stepUp' in stage)) continue;
    const { method, by } = stage.stepUp;
    const path = ['stages', index, 'stepUp'];
    if (by === 'agent' && on !== undefined && on !== 'step-up')
      broken.push({ path: [...path, 'by'], reason: `no agent asks for a ${on} here: only a step-up has one` });
    else if ((method === 'agent-key') !== (by === 'agent'))
      broken.push({ path: [...path, 'method'], reason: 'an agent proves by agent-key, and a person by session' });
  }
  return broken;
}
