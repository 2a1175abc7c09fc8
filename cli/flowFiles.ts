import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { formatFlowError } from '../domain/flow/explain.ts';
import { type ParsedFlow, type ParsedFlowTests, parseFlow, parseFlowTests } from '../domain/flow/parse.ts';
import { CommandFailed } from './exitCodes.ts';
import { printLine } from './output.ts';

/** Where flows are looked for when none are named. */
const usualDirectory = 'flows';
const flowSuffix = '.flow.yaml';
const testsSuffix = '.flow-tests.yaml';

export interface FlowFile {
  readonly file: string;
  readonly source: string;
  readonly parsed: ParsedFlow;
}

export interface FlowTestsFile {
  readonly file: string;
  readonly source: string;
  readonly parsed: ParsedFlowTests;
}

/**
 * Reads and parses flow files; a directory stands for the `*.flow.yaml` in it, in the order of their names.
 * @param named as given on the command line; none means the directory `flows`
 * @throws CommandFailed (usage) when a file is not there, cannot be read, is not UTF-8, or there is none at all
 */
export async function readFlowFiles(named: readonly string[]): Promise<readonly FlowFile[]> {
  return (await readFlowsAndTests(named)).flows;
}

/** The same, and the files of tests (`*.flow-tests.yaml`) among them, each read against the flow that it names. */
export async function readFlowsAndTests(
  named: readonly string[],
): Promise<{ readonly flows: readonly FlowFile[]; readonly tests: readonly FlowTestsFile[] }> {
  const files = (await Promise.all((named.length === 0 ? [usualDirectory] : named).map(filesAt))).flat();
  const sources = await Promise.all(files.map(async (file) => ({ file, source: await readText(file) })));
  const isOfTests = ({ file }: { file: string }): boolean => file.endsWith(testsSuffix);
  const flows = sources
    .filter((source) => !isOfTests(source))
    .map(({ file, source }) => ({ file, source, parsed: parseFlow(source, file) }));
  if (flows.length === 0) {
    throw new CommandFailed(
      'usage',
      `There is no *${flowSuffix} in ${named.join(', ') || `./${usualDirectory}`}. Name the files to read.`,
    );
  }
  const sound = flows.flatMap(({ parsed }) => (parsed.ok ? [parsed.flow] : []));
  const tests = sources
    .filter(isOfTests)
    .map(({ file, source }) => ({ file, source, parsed: parseFlowTests(source, file, sound) }));
  return { flows, tests };
}

/** Every mistake of a broken file, each under its line. */
export function printMistakes({ source, parsed }: FlowFile | FlowTestsFile): void {
  if (parsed.ok) return;
  for (const error of parsed.errors) printLine(`\n${formatFlowError(error, source)}`);
}

async function filesAt(path: string): Promise<readonly string[]> {
  const isDirectory = await orUsage(path, async () => (await stat(path)).isDirectory());
  if (!isDirectory) return [path];
  const names = await orUsage(path, () => readdir(path));
  return names
    .filter((name) => name.endsWith(flowSuffix) || name.endsWith(testsSuffix))
    .sort()
    .map((name) => join(path, name));
}

/** @throws CommandFailed (usage) when the file is not there, cannot be read, or is not UTF-8 */
export async function readText(file: string): Promise<string> {
  const bytes = await orUsage(file, () => readFile(file));
  return orUsage(file, async () => new TextDecoder('utf-8', { fatal: true }).decode(bytes));
}

async function orUsage<Result>(path: string, read: () => Promise<Result>): Promise<Result> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    const why = error.code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'it is not UTF-8' : String(error.code);
    throw new CommandFailed('usage', `${path} cannot be read (${why}). Name files, or directories that hold flows.`, {
      cause: error,
    });
  }
}
