import { type Command, InvalidArgumentError } from 'commander';
import { Coverage, type CoverageItem, coveredPercent } from '../domain/flow/coverage.ts';
import { formatFlowError } from '../domain/flow/explain.ts';
import type { Flow, FlowTest } from '../domain/flow/language.ts';
import { type FlowTestResult, runFlowTest } from '../domain/flow/testing.ts';
import { exitCodes } from './exitCodes.ts';
import { type FlowFile, type FlowTestsFile, printMistakes, readFlowsAndTests } from './flowFiles.ts';
import { checkReport, writeReport } from './flowsCheck.ts';
import { type JunitCase, type JunitSuite, junitReport } from './junit.ts';
import { coloured, counted, printJson, printLine, printTable } from './output.ts';

interface TestOptions {
  readonly json?: true;
  readonly junit?: string;
  readonly minCoverage?: number;
}

/** `tenure flows test`: offline; exit 1 when a file has mistakes, a test fails, or a flow is covered too little. */
export function registerFlowsTest(flows: Command): void {
  flows
    .command('test')
    .description('run the tests inside flow files and in *.flow-tests.yaml, and tell what they cover')
    .argument('[files...]', 'files, or directories of *.flow.yaml and *.flow-tests.yaml (default: flows)')
    .option('--json', 'print the report as JSON')
    .option('--junit <file>', 'also write the results as JUnit XML, for CI servers')
    .option('--min-coverage <percent>', 'exit 1 when the tests of a flow cover less of it', percent)
    .action(async (named: string[], options: TestOptions) => {
      const report = runAll(await readFlowsAndTests(named), options.minCoverage);
      if (!report.isPassed) process.exitCode = exitCodes.checkFailed.code;
      if (options.junit !== undefined) await writeReport(options.junit, junitReport(suitesOf(report)));
      if (options.json) return printJson(jsonOf(report));
      printTested(report);
    });
}

function percent(text: string): number {
  const value = Number(text);
  if (!/^\d{1,3}(\.\d+)?$/.test(text) || value > 100) throw new InvalidArgumentError('Write a number from 0 to 100.');
  return value;
}

type NamedResult = FlowTestResult & { readonly name: string; readonly seconds: number };
interface TestedFile {
  readonly read: FlowFile | FlowTestsFile;
  readonly tests: readonly NamedResult[];
}
interface CoveredFlow {
  readonly flow: string;
  readonly items: readonly CoverageItem[];
}
interface TestReport {
  readonly files: readonly TestedFile[];
  readonly coverage: readonly CoveredFlow[];
  /** Flows whose tests cover less of them than was asked for. */
  readonly uncovered: readonly CoveredFlow[];
  readonly isPassed: boolean;
}

function runAll(
  { flows, tests }: { flows: readonly FlowFile[]; tests: readonly FlowTestsFile[] },
  minCoverage: number | undefined,
): TestReport {
  const coverages = new Map<Flow, Coverage>();
  const run = (flow: Flow, flowTests: readonly FlowTest[]): NamedResult[] => {
    const coverage = coverages.get(flow) ?? new Coverage(flow);
    coverages.set(flow, coverage);
    return flowTests.map((test) => {
      const beganMs = performance.now();
      const result = runFlowTest(flow, test, coverage);
      return { name: test.name, seconds: (performance.now() - beganMs) / 1_000, ...result };
    });
  };
  const files: TestedFile[] = [
    ...flows.map((read) => ({ read, tests: read.parsed.ok ? run(read.parsed.flow, read.parsed.flow.tests) : [] })),
    ...tests.map((read) => ({ read, tests: read.parsed.ok ? run(read.parsed.flow, read.parsed.tests) : [] })),
  ];
  const coverage = [...coverages.values()].map(({ flow, items }) => ({ flow: flow.metadata.name, items }));
  const uncovered = coverage.filter(({ items }) => coveredPercent(items) < (minCoverage ?? 0));
  const isPassed =
    uncovered.length === 0 && files.every(({ read, tests }) => read.parsed.ok && tests.every(({ passed }) => passed));
  return { files, coverage, uncovered, isPassed };
}

function jsonOf({ files, coverage, isPassed }: TestReport) {
  return {
    ok: isPassed,
    files: files.map(({ read, tests }) => ({
      ...checkReport(read),
      tests: tests.map(({ seconds: _, ...result }) => result),
    })),
    coverage: coverage.map(({ flow, items }) => ({ flow, percent: floored(items), items })),
  };
}

function suitesOf({ files }: TestReport): readonly JunitSuite[] {
  return files.map(({ read: { file, source, parsed }, tests }) => {
    if (parsed.ok) return { name: parsed.flow.metadata.name, file, cases: tests.map(caseOf) };
    const details = parsed.errors.map((error) => formatFlowError(error, source)).join('\n');
    const message = `${counted(parsed.errors.length, 'mistake')}: nothing of the file is used`;
    return { name: file, file, cases: [{ name: 'is read', seconds: 0, problem: { kind: 'error', message, details } }] };
  });
}

function caseOf(result: NamedResult): JunitCase {
  const { name, seconds } = result;
  if (result.passed) return { name, seconds };
  const message = `expected ${wordsOf(result.expected)}; got ${wordsOf(result.got)}`;
  return { name, seconds, problem: { kind: 'failure', message, details: result.trace.join('\n') } };
}

/** With fewer, what starting costs is all that a rate would tell. */
const enoughForARate = 50;

function printTested({ files, coverage, uncovered, isPassed }: TestReport): void {
  const all = files.flatMap(({ tests }) => tests);
  const passed = all.filter((test) => test.passed).length;
  const seconds = all.reduce((sum, test) => sum + test.seconds, 0);
  const speed = all.length < enoughForARate ? '' : ` (${Math.round(all.length / seconds)} a second)`;
  const flows = counted(files.filter(({ read }) => !read.parsed.ok || 'digest' in read.parsed).length, 'flow');
  const tests = counted(all.length, 'test');
  if (isPassed) printLine(`${coloured('green', 'Passed')}: ${tests} of ${flows}${speed}.`);
  else printLine(`${coloured('red', 'Not passed')}: ${passed} of ${tests} of ${flows} passed${speed}.`);
  printTable(
    ['file', 'tests', 'passed', 'failed'],
    files.map(({ read: { file, parsed }, tests: results }) => {
      if (!parsed.ok) return [file, '', '', 'not read'];
      const failed = results.filter((test) => !test.passed).length;
      return [file, ...[results.length, results.length - failed, failed].map(String)];
    }),
  );
  printCoverage(coverage);
  for (const { read, tests: results } of files) {
    printMistakes(read);
    for (const test of results) printFailure(read.file, test);
  }
  for (const { flow, items } of uncovered) printLine(`${flow} is covered to ${floored(items)} %, less than asked for.`);
  if (isPassed && all.length === 0) printLine('These flows hold no tests: nothing was shown about them.');
  else if (passed < all.length) printLine('Where flow and test disagree, one of them is not what you meant.');
}

function printCoverage(coverage: readonly CoveredFlow[]): void {
  if (coverage.length === 0) return;
  const share = (items: readonly CoverageItem[], part: CoverageItem['part']): string => {
    const ofPart = items.filter((item) => item.part === part);
    return `${ofPart.filter(({ covered }) => covered).length}/${ofPart.length}`;
  };
  printLine('');
  printTable(
    ['flow', 'stages', 'guard outcomes', 'ends', 'covered'],
    coverage.map(({ flow, items }) => [
      flow,
      ...(['stage', 'guard', 'end'] as const).map((part) => share(items, part)),
      `${floored(items)} %`,
    ]),
  );
  for (const { flow, items } of coverage) {
    for (const { part, what } of items.filter(({ covered }) => !covered))
      printLine(`${flow}: not covered: ${part} ${what}`);
  }
}

/** Never 100 while something is left. */
function floored(items: readonly CoverageItem[]): number {
  return Math.floor(coveredPercent(items));
}

function printFailure(file: string, test: NamedResult): void {
  if (test.passed) return;
  printLine(`\n${file}: ${test.name}`);
  printLine(`  expected ${wordsOf(test.expected)}`);
  printLine(`  got      ${wordsOf(test.got)}`);
  for (const line of test.trace) printLine(`    ${line}`);
}

function wordsOf(outcome: object): string {
  return Object.entries(outcome)
    .map(([field, value]) => `${field} ${value}`)
    .join(', ');
}
