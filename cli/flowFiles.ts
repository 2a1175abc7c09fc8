import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type ParsedFlow, parseFlow } from '../domain/flow/parse.ts';
import { CommandFailed } from './exitCodes.ts';

/** Where flows are looked for when none are named. */
const usualDirectory = 'flows';
const flowSuffix = '.flow.yaml';

export interface FlowFile {
  readonly file: string;
  readonly source: string;
  readonly parsed: ParsedFlow;
}

/**
 * Reads and parses flow files; a directory stands for the `*.flow.yaml` in it, in the order of their names.
 * @param named as given on the command line; none means the directory `flows`
 * @throws CommandFailed (usage) when a file is not there, cannot be read, is not UTF-8, or there is none at all
 */
export async function readFlowFiles(named: readonly string[]): Promise<readonly FlowFile[]> {
  const files = await Promise.all((named.length === 0 ? [usualDirectory] : named).map(filesAt));
  const flowFiles = await Promise.all(files.flat().map(readFlowFile));
  if (flowFiles.length > 0) return flowFiles;
  throw new CommandFailed(
    'usage',
    `There is no *${flowSuffix} in ${named.join(', ') || `./${usualDirectory}`}. Name the files to read.`,
  );
}

async function filesAt(path: string): Promise<readonly string[]> {
  const isDirectory = await orUsage(path, async () => (await stat(path)).isDirectory());
  if (!isDirectory) return [path];
  const names = await orUsage(path, () => readdir(path));
  return names
    .filter((name) => name.endsWith(flowSuffix))
    .sort()
    .map((name) => join(path, name));
}

async function readFlowFile(file: string): Promise<FlowFile> {
  const bytes = await orUsage(file, () => readFile(file));
  const source = await orUsage(file, async () => new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  return { file, source, parsed: parseFlow(source, file) };
}

async function orUsage<Result>(path: string, read: () => Promise<Result>): Promise<Result> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    const why = error.code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'it is not UTF-8' : String(error.code);
    throw new CommandFailed(
      'usage',
      `${path} cannot be read (${why}). Name flow files, or directories that hold them.`,
      { cause: error },
    );
  }
}
