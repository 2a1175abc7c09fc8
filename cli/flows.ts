import type { Command } from 'commander';
import { formatFlowError } from '../domain/flow/explain.ts';
import type { Flow } from '../domain/flow/language.ts';
import { type FlowTestResult, runFlowTest } from '../domain/flow/testing.ts';
import { exitCodes } from './exitCodes.ts';
import { type FlowFile, readFlowFiles } from './flowFiles.ts';
import { coloured, printJson, printTable } from './output.ts';

/** `tenure flows check` and `tenure flows test`, both offline; exit 1 when a file has mistakes or a test fails. */
export function registerFlows(program: Command): void {
  const flows = program.command('flows').description('check flow files and run the tests in them, offline');

  flows
    .command('check')
    .description('read flow files and show every mistake at its place')
    .argument('[files...]', 'flow files, or directories of *.flow.yaml (default: flows)')
    .option('--json', 'print the report as JSON')
    .action(async (named: string[], options: { json?: true }) => {
      const files = await readFlowFiles(named);
      const isSound = files.every(({ parsed }) => parsed.ok);
      if (!isSound) process.exitCode = exitCodes.checkFailed.code;
      if (options.json) return printJson({ ok: isSound, files: files.map(checkReport) });
      printChecked(files);
    });

  flows
    .command('test')
    .description('run the tests inside flow files')
    .argument('[files...]', 'flow files, or directories of *.flow.yaml (default: flows)')
    .option('--json', 'print the report as JSON')
    .action(async (named: string[], options: { json?: true }) => {
      const files = (await readFlowFiles(named)).map((file) => ({ ...file, tests: testsOf(file) }));
      const isPassed = files.every(({ parsed, tests }) => parsed.ok && tests.every(({ passed }) => passed));
      if (!isPassed) process.exitCode = exitCodes.checkFailed.code;
      if (options.json) {
        return printJson({ ok: isPassed, files: files.map((file) => ({ ...checkReport(file), tests: file.tests })) });
      }
      printTested(files, isPassed);
    });
}

type NamedResult = FlowTestResult & { readonly name: string };
type TestedFile = FlowFile & { readonly tests: readonly NamedResult[] };

function testsOf({ parsed }: FlowFile): readonly NamedResult[] {
  if (!parsed.ok) return [];
  const { flow } = parsed;
  return flow.tests.map((test) => ({ name: test.name, ...runFlowTest(flow, test) }));
}

function checkReport({ file, parsed }: FlowFile) {
  return parsed.ok ? { file, flow: parsed.flow.metadata.name, digest: parsed.digest } : { file, errors: parsed.errors };
}

function printChecked(files: readonly FlowFile[]): void {
  const broken = files.filter(({ parsed }) => !parsed.ok);
  if (broken.length === 0) {
    print(`${coloured('green', 'Sound')}: ${counted(files.length, 'flow file')} without a mistake.`);
    printTable(
      ['flow', 'on', 'stages', 'digest'],
      files.flatMap(({ parsed }) => (parsed.ok ? [rowOf(parsed.flow, parsed.digest)] : [])),
    );
    return print('Run the tests in them: tenure flows test');
  }
  print(`${coloured('red', 'Broken')}: ${broken.length} of ${counted(files.length, 'flow file')}.`);
  for (const file of broken) printMistakes(file);
  print('Correct them, then check again: nothing of a broken file is used.');
}

function rowOf(flow: Flow, digest: string): readonly string[] {
  return [flow.metadata.name, flow.on, flow.stages.map(({ id }) => id).join(' → '), digest.slice(0, 12)];
}

function printTested(files: readonly TestedFile[], isPassed: boolean): void {
  const all = files.flatMap(({ tests }) => tests);
  const passed = all.filter((test) => test.passed).length;
  if (isPassed)
    print(`${coloured('green', 'Passed')}: ${counted(all.length, 'test')} of ${counted(files.length, 'flow')}.`);
  else
    print(
      `${coloured('red', 'Not passed')}: ${passed} of ${counted(all.length, 'test')} of ${counted(files.length, 'flow')} passed.`,
    );
  printTable(
    ['flow', 'tests', 'passed', 'failed'],
    files.map(({ file, parsed, tests }) => {
      if (!parsed.ok) return [file, '', '', 'not read'];
      const failed = tests.filter((test) => !test.passed).length;
      return [parsed.flow.metadata.name, ...[tests.length, tests.length - failed, failed].map(String)];
    }),
  );
  for (const file of files) {
    if (!file.parsed.ok) printMistakes(file);
    for (const test of file.tests) printFailure(file.file, test);
  }
  if (isPassed && all.length === 0) print('These flows hold no tests: nothing was shown about them.');
  else if (!isPassed) print('Where flow and test disagree, one of them is not what you meant.');
}

function printFailure(file: string, test: NamedResult): void {
  if (test.passed) return;
  print(`\n${file}: ${test.name}`);
  print(`  expected ${wordsOf(test.expected)}`);
  print(`  got      ${wordsOf(test.got)}`);
  for (const line of test.trace) print(`    ${line}`);
}

function wordsOf(outcome: object): string {
  return Object.entries(outcome)
    .map(([field, value]) => `${field} ${value}`)
    .join(', ');
}

function printMistakes({ source, parsed }: FlowFile): void {
  if (parsed.ok) return;
  for (const error of parsed.errors) print(`\n${formatFlowError(error, source)}`);
}

function counted(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
