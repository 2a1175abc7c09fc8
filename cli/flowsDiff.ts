import type { Command } from 'commander';
import type { Label } from '../domain/flow/analysis/change.ts';
import { diffFlows, diffReport, type FlowDiff } from '../domain/flow/analysis/diff.ts';
import { exitCodes } from './exitCodes.ts';
import { coloured, counted, printJson, printLine } from './output.ts';
import { analysed, readSoundFlows } from './soundFlows.ts';

/** `tenure flows diff OLD NEW`: exit 0 when nothing weakens, 1 when something does, 2 when a file is broken. */
export function registerFlowsDiff(flows: Command): void {
  flows
    .command('diff')
    .description('tell what a change of flows weakens or strengthens, and which paths prove it')
    .argument('<old>', 'a flow file, or a directory of all that govern together')
    .argument('<new>', 'what is to replace it')
    .option('--json', 'print the changes as JSON')
    .addHelpText('after', '\nExit code 0: nothing weakens. 1: something WEAKENS. 2: a file is broken or not there.')
    .action(async (old: string, replacement: string, options: { json?: true }) => {
      const [before, after] = await Promise.all([readSoundFlows([old]), readSoundFlows([replacement])]);
      const diff = analysed(() =>
        diffFlows(
          before.flows.map(({ flow }) => flow),
          after.flows.map(({ flow }) => flow),
        ),
      );
      if (diff.weakens) process.exitCode = exitCodes.checkFailed.code;
      if (options.json) return printJson(diffReport(diff));
      printDiff(diff);
    });
}

const colours = { WEAKENS: 'red', STRENGTHENS: 'green', NEUTRAL: 'gray' } as const satisfies Record<Label, string>;

function printDiff({ changes, paths, weakens }: FlowDiff): void {
  const verdict = weakens ? coloured('red', 'Weakens') : coloured('green', 'Weakens nothing');
  printLine(`${verdict}: ${counted(changes.length, 'change')}, ${counted(paths.length, 'path')} told apart.`);
  for (const { label, flow, path, was, is, because } of changes) {
    printLine(`\n${coloured(colours[label], label)} ${flow}${path === '' ? '' : `: ${path}`}`);
    printLine(`  ${was} → ${is}`);
    printLine(`  ${because}`);
  }
  for (const { label, on, conditions, was, is, because } of paths) {
    printLine(`\n${coloured(colours[label], label)} ${on}: ${because}`);
    if (conditions.length > 0) printLine(`  if ${conditions.join('\n  and ')}`);
    printLine(`  was: ${was}`);
    printLine(`  is:  ${is}`);
  }
}
