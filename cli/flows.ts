import type { Command } from 'commander';
import { registerFlowsAnalysis } from './flowsAnalysis.ts';
import { registerFlowsCheck } from './flowsCheck.ts';
import { registerFlowsRecord, registerFlowsSimulate } from './flowsSimulate.ts';
import { registerFlowsTest } from './flowsTest.ts';

/** `tenure flows …`: what a security team does with flow files, offline but for `record`. */
export function registerFlows(program: Command): void {
  const flows = program.command('flows').description('check, test and simulate flow files, offline');
  registerFlowsCheck(flows);
  registerFlowsTest(flows);
  registerFlowsSimulate(flows);
  registerFlowsRecord(flows);
  registerFlowsAnalysis(flows);
}
