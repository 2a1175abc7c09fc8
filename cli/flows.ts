import type { Command } from 'commander';
import { registerFlowsCheck } from './flowsCheck.ts';
import { registerFlowsTest } from './flowsTest.ts';

/** `tenure flows …`: what a security team does with flow files, all of it offline. */
export function registerFlows(program: Command): void {
  const flows = program.command('flows').description('check flow files and run the tests in them, offline');
  registerFlowsCheck(flows);
  registerFlowsTest(flows);
}
