import type { Command } from 'commander';
import { registerFlowsAnalysis } from './flowsAnalysis.ts';
import { registerFlowsCheck } from './flowsCheck.ts';
import { registerFlowsPublish } from './flowsPublish.ts';
import { registerFlowsRecover } from './flowsRecover.ts';
import { registerFlowsRecord, registerFlowsSimulate } from './flowsSimulate.ts';
import { registerFlowsTest } from './flowsTest.ts';

/** `tenure flows …`: what a security team does with flow files: offline, but for `record`, `plan`, `apply`, `rollback` and `recover`. */
export function registerFlows(program: Command): void {
  const flows = program.command('flows').description('check, test, simulate and publish flow files');
  registerFlowsCheck(flows);
  registerFlowsTest(flows);
  registerFlowsSimulate(flows);
  registerFlowsRecord(flows);
  registerFlowsAnalysis(flows);
  registerFlowsPublish(flows);
  registerFlowsRecover(flows);
}
