import type { Command } from 'commander';
import { registerFlowsAnalysis } from './flowsAnalysis.ts';
import { registerFlowsCheck } from './flowsCheck.ts';
import { registerFlowsSimulate } from './flowsSimulate.ts';
import { registerFlowsTest } from './flowsTest.ts';

/** `tenure flows …`: what a security team does with flow files, all of it offline. */
export function registerFlows(program: Command): void {
  const flows = program.command('flows').description('check, test and simulate flow files, offline');
  registerFlowsCheck(flows);
  registerFlowsTest(flows);
  registerFlowsSimulate(flows);
  registerFlowsAnalysis(flows);
}
