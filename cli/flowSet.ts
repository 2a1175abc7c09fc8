import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandFailed } from './exitCodes.ts';
import { readFlowsAndTests, readText } from './flowFiles.ts';

/** A document of a directory as it is sent to be published. */
export interface FlowSetDocument {
  readonly file: string;
  readonly source: string;
  /** Empty: its text says none that can be read. */
  readonly name: string;
  readonly tests?: string;
}

/**
 * The flows of a directory, their separate tests with them, and the invariants beside them.
 * @throws CommandFailed (usage) when there is none, or one cannot be read
 */
export async function readFlowSet(directory: string): Promise<readonly FlowSetDocument[]> {
  const { flows, tests } = await readFlowsAndTests([directory]);
  const testsOf = (name: string): string | undefined =>
    tests.find(({ parsed }) => parsed.ok && parsed.flow.metadata.name === name)?.source;
  const documents = flows.map(({ file, source, parsed }): FlowSetDocument => {
    const beside = parsed.ok ? testsOf(parsed.flow.metadata.name) : undefined;
    return {
      file,
      source,
      name: parsed.ok ? parsed.flow.metadata.name : '',
      ...(beside === undefined ? {} : { tests: beside }),
    };
  });
  const invariants = join(directory, 'invariants.yaml');
  if (!(await isThere(invariants))) return documents;
  return [...documents, { file: invariants, source: await readText(invariants), name: 'invariants' }];
}

async function isThere(file: string): Promise<boolean> {
  return await stat(file).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return false;
      throw new CommandFailed('usage', `${file} cannot be read (${error.code}).`, { cause: error });
    },
  );
}
