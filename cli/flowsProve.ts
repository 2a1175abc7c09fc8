import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { type Invariant, parseInvariants } from '../domain/flow/analysis/invariants.ts';
import { pathReport } from '../domain/flow/analysis/pathReport.ts';
import { type Proof, proveInvariants, violationInWords } from '../domain/flow/analysis/prove.ts';
import { formatFlowError } from '../domain/flow/explain.ts';
import { CommandFailed, exitCodes } from './exitCodes.ts';
import { coloured, counted, printJson, printLine } from './output.ts';
import { analysed, readSoundFlows } from './soundFlows.ts';

interface ProveOptions {
  readonly json?: true;
  readonly invariants?: string;
}

/** `tenure flows prove`: invariants over all paths; exit 1 with the shortest path that breaks one. */
export function registerFlowsProve(flows: Command): void {
  flows
    .command('prove')
    .description('prove that the invariants hold on every path of these flows')
    .argument('[files...]', 'all flow files that govern together, or their directories (default: flows)')
    .option('--invariants <file>', 'what must hold (default: invariants.yaml beside the flows)')
    .option('--json', 'print the proofs as JSON')
    .action(async (named: string[], options: ProveOptions) => {
      const { flows: sound } = await readSoundFlows(named);
      const beside = join(dirname(sound[0]?.file ?? '.'), 'invariants.yaml');
      const invariants = await readInvariants(options.invariants ?? beside);
      const proofs = analysed(() =>
        proveInvariants(
          sound.map(({ flow }) => flow),
          invariants,
        ),
      );
      const broken = proofs.filter(({ violations }) => violations.length > 0);
      if (broken.length > 0) process.exitCode = exitCodes.checkFailed.code;
      if (options.json) return printJson({ ok: broken.length === 0, invariants: proofs.map(proofReport) });
      printProofs(proofs, broken.length);
    });
}

async function readInvariants(file: string): Promise<readonly Invariant[]> {
  let source: string;
  try {
    source = new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file));
  } catch (cause) {
    const message = `${file} cannot be read. Name a file of invariants: --invariants <file>.`;
    throw new CommandFailed('usage', message, { cause });
  }
  const parsed = parseInvariants(source, file);
  if (parsed.ok) return parsed.invariants;
  throw new CommandFailed('usage', parsed.errors.map((error) => formatFlowError(error, source)).join('\n\n'));
}

function proofReport({ invariant, paths, violations }: Proof) {
  return {
    id: invariant.id,
    title: invariant.title,
    holds: violations.length === 0,
    paths,
    violations: violations.map((violation) => ({
      requirement: violation.requirement,
      missing: violation.missing,
      conditions: violation.conditions,
      path: pathReport(violation.path, 0),
    })),
  };
}

function printProofs(proofs: readonly Proof[], broken: number): void {
  if (broken === 0) printLine(`${coloured('green', 'Proved')}: ${counted(proofs.length, 'invariant')} on every path.`);
  else printLine(`${coloured('red', 'Broken')}: ${broken} of ${counted(proofs.length, 'invariant')}.`);
  for (const { invariant, paths, violations } of proofs) {
    const verdict = violations.length > 0 ? coloured('red', 'broken') : paths === 0 ? 'says nothing' : 'holds';
    printLine(`\n${coloured('bold', invariant.id)} ${verdict}: ${invariant.title}`);
    if (violations.length === 0) printLine(`  on ${counted(paths, 'path')}`);
    for (const violation of violations) {
      const [missing, ...rest] = violationInWords(violation);
      printLine(`  ${missing}`);
      for (const line of rest) printLine(`    ${line}`);
    }
  }
  if (broken > 0) printLine('\nChange the flow, or the invariant when it is no longer meant.');
}
