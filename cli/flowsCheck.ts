import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { z } from 'zod';
import type { Flow } from '../domain/flow/language.ts';
import type { FlowError } from '../domain/flow/parse.ts';
import { CommandFailed, exitCodes } from './exitCodes.ts';
import { type FlowFile, type FlowTestsFile, printMistakes, readFlowsAndTests } from './flowFiles.ts';
import { coloured, counted, printJson, printLine, printTable } from './output.ts';
import { type SarifFinding, type SarifRule, sarifReport } from './sarif.ts';

interface CheckOptions {
  readonly json?: true;
  readonly sarif?: string;
}

/** `tenure flows check`: offline; exit 1 when a file has mistakes. */
export function registerFlowsCheck(flows: Command): void {
  flows
    .command('check')
    .description('read flow files and files of tests, and show every mistake at its place')
    .argument('[files...]', 'files, or directories of *.flow.yaml and *.flow-tests.yaml (default: flows)')
    .option('--json', 'print the report as JSON')
    .option('--sarif <file>', 'also write the mistakes as SARIF 2.1.0, for code hosts')
    .action(async (named: string[], options: CheckOptions) => {
      const read = await readFlowsAndTests(named);
      const files = [...read.flows, ...read.tests];
      const isSound = files.every(({ parsed }) => parsed.ok);
      if (!isSound) process.exitCode = exitCodes.checkFailed.code;
      if (options.sarif !== undefined) await writeSarif(options.sarif, files.flatMap(mistakesOf), [mistakeRule]);
      if (options.json) return printJson({ ok: isSound, files: files.map(checkReport) });
      printChecked(read.flows, read.tests);
    });
}

/** What a file of flows or tests was read as, for programs. */
export function checkReport({ file, parsed }: FlowFile | FlowTestsFile) {
  if (!parsed.ok) return { file, errors: parsed.errors };
  const flow = parsed.flow.metadata.name;
  return 'digest' in parsed ? { file, flow, digest: parsed.digest } : { file, flow };
}

const mistakeRule: SarifRule = {
  id: 'flow-mistake',
  description: 'A flow file that does not say what the language can say is not used at all.',
};

function mistakesOf({ parsed }: FlowFile | FlowTestsFile): readonly SarifFinding[] {
  return parsed.ok ? [] : parsed.errors.map(findingOf);
}

function findingOf({ file, line, column, reason, path, suggestion }: FlowError): SarifFinding {
  const at = path === '' ? '' : ` (at ${path})`;
  const hint = suggestion === undefined ? '' : `; did you mean '${suggestion}'?`;
  return { ruleId: mistakeRule.id, severity: 'error', file, line, column, message: `${reason}${at}${hint}` };
}

/**
 * Writes findings as one SARIF file, relative to the working directory.
 * @throws CommandFailed (usage) when the file cannot be written
 */
export async function writeSarif(
  file: string,
  findings: readonly SarifFinding[],
  rules: readonly SarifRule[],
): Promise<void> {
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  const { version } = z.object({ version: z.string() }).parse(JSON.parse(manifest));
  const report = sarifReport(findings, { rules, version, root: process.cwd() });
  await writeReport(file, `${JSON.stringify(report, null, 2)}\n`);
}

/** @throws CommandFailed (usage) when the file cannot be written */
export async function writeReport(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text);
  } catch (cause) {
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
    throw new CommandFailed('usage', `${file} cannot be written (${why}). Name a file in a directory that exists.`, {
      cause,
    });
  }
}

function printChecked(flows: readonly FlowFile[], tests: readonly FlowTestsFile[]): void {
  const broken = [...flows, ...tests].filter(({ parsed }) => !parsed.ok);
  const all = [
    counted(flows.length, 'flow file'),
    ...(tests.length === 0 ? [] : [counted(tests.length, 'file of tests')]),
  ];
  if (broken.length === 0) {
    printLine(`${coloured('green', 'Sound')}: ${all.join(' and ')} without a mistake.`);
    printTable(
      ['flow', 'on', 'stages', 'digest'],
      flows.flatMap(({ parsed }) => (parsed.ok ? [rowOf(parsed.flow, parsed.digest)] : [])),
    );
    return printLine('Run the tests in them: tenure flows test');
  }
  printLine(`${coloured('red', 'Broken')}: ${broken.length} of ${all.join(' and ')}.`);
  for (const file of broken) printMistakes(file);
  printLine('Correct them, then check again: nothing of a broken file is used.');
}

function rowOf(flow: Flow, digest: string): readonly string[] {
  return [flow.metadata.name, flow.on, flow.stages.map(({ id }) => id).join(' → '), digest.slice(0, 12)];
}
