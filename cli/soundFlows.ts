import { TooComplex } from '../domain/flow/analysis/theory.ts';
import { formatFlowError } from '../domain/flow/explain.ts';
import type { Flow } from '../domain/flow/language.ts';
import { CommandFailed } from './exitCodes.ts';
import { type FlowTestsFile, readFlowsAndTests } from './flowFiles.ts';

/** A flow file without a mistake. */
export interface SoundFlow {
  readonly file: string;
  readonly source: string;
  readonly flow: Flow;
  readonly digest: string;
}

/**
 * Reads flow files for commands that reason about what flows mean.
 * @throws CommandFailed (usage) with every mistake, when one of the files is broken: about a part of a policy nothing is proved
 */
export async function readSoundFlows(
  named: readonly string[],
): Promise<{ readonly flows: readonly SoundFlow[]; readonly tests: readonly FlowTestsFile[] }> {
  const { flows, tests } = await readFlowsAndTests(named);
  const mistakes = [...flows, ...tests].flatMap(({ source, parsed }) =>
    parsed.ok ? [] : parsed.errors.map((error) => formatFlowError(error, source)),
  );
  if (mistakes.length > 0) {
    throw new CommandFailed('usage', [...mistakes, 'Correct these first: tenure flows check'].join('\n\n'));
  }
  const sound = flows.flatMap(({ file, source, parsed }) =>
    parsed.ok ? [{ file, source, flow: parsed.flow, digest: parsed.digest }] : [],
  );
  return { flows: sound, tests };
}

/** Runs an analysis; guards too entangled for one are the user's to split. @throws CommandFailed (usage), naming the flow */
export function analysed<Result>(analysis: () => Result): Result {
  try {
    return analysis();
  } catch (error) {
    if (error instanceof TooComplex) throw new CommandFailed('usage', error.message, { cause: error });
    throw error;
  }
}
