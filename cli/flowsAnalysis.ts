import type { Command } from 'commander';
import { registerFlowsDiff } from './flowsDiff.ts';
import { registerFlowsLint } from './flowsLint.ts';
import { registerFlowsPaths } from './flowsPaths.ts';
import { registerFlowsProve } from './flowsProve.ts';

/** What can be known about flows without running them. */
export function registerFlowsAnalysis(flows: Command): void {
  registerFlowsPaths(flows);
  registerFlowsLint(flows);
  registerFlowsProve(flows);
  registerFlowsDiff(flows);
}
