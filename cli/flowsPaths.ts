import type { Command } from 'commander';
import { pathConditions } from '../domain/flow/analysis/conditions.ts';
import type { FlowPath } from '../domain/flow/analysis/path.ts';
import { pathPicture } from '../domain/flow/analysis/pathPicture.ts';
import { pathReport } from '../domain/flow/analysis/pathReport.ts';
import { pathsOfFlows } from '../domain/flow/analysis/paths.ts';
import { endWords, listed, stepWords } from '../domain/flow/analysis/pathWords.ts';
import { writeReport } from './flowsCheck.ts';
import { coloured, counted, printJson, printLine } from './output.ts';
import { analysed, readSoundFlows } from './soundFlows.ts';

interface PathsOptions {
  readonly json?: true;
  readonly svg?: string;
}

/** `tenure flows paths`: every way a request can go, numbered, in words; offline. */
export function registerFlowsPaths(flows: Command): void {
  flows
    .command('paths')
    .description('list every distinct path of a request through these flows, in words')
    .argument('[files...]', 'flow files, or directories of *.flow.yaml (default: flows)')
    .option('--json', 'print the paths as JSON')
    .option('--svg <file>', 'also draw them as an SVG picture')
    .action(async (named: string[], options: PathsOptions) => {
      const { flows: sound } = await readSoundFlows(named);
      const paths = analysed(() => pathsOfFlows(sound.map(({ flow }) => flow)));
      if (options.svg !== undefined) await writeReport(options.svg, pathPicture(paths));
      if (options.json) return printJson({ ok: true, paths: paths.map(pathReport) });
      printPaths(paths, sound.length);
    });
}

function printPaths(paths: readonly FlowPath[], files: number): void {
  printLine(`${counted(paths.length, 'path')} of ${counted(files, 'flow')}.`);
  let heading = '';
  for (const [index, path] of paths.entries()) {
    const name = path.flow === undefined ? `${path.on}: no flow` : `${path.on}: ${path.flow.metadata.name}`;
    if (name !== heading) printLine(`\n${coloured('bold', name)}`);
    heading = name;
    printPath(path, index + 1);
  }
  printLine('\nAt any time, a freeze, a pause or a cancellation may stop a path; none of them leads to another.');
}

function printPath(path: FlowPath, number: number): void {
  printLine(`\n${number}. ${coloured(path.end.state === 'completed' ? 'green' : 'red', endWords(path.end))}`);
  const conditions = pathConditions(path);
  if (conditions.length > 0) printLine(`   if ${conditions.join('\n   and ')}`);
  for (const step of path.steps) printLine(`     ${step.stage.id}: ${stepWords(step)}`);
  if (path.askedAgain.length > 0)
    printLine(`   asked again until it commits; else denied with ${listed(path.askedAgain)}`);
}
