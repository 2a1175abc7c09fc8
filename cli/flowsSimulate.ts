import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { formatFlowError } from '../domain/flow/explain.ts';
import type { Flow } from '../domain/flow/language.ts';
import { parseFlow } from '../domain/flow/parse.ts';
import { parseRecords, type RecordedRequest } from '../domain/flow/recordedRequest.ts';
import { type ChangedRequest, type Simulation, simulate } from '../domain/flow/simulate.ts';
import { becomeProcess } from './becomeProcess.ts';
import { CommandFailed, exitCodes } from './exitCodes.ts';
import { readText } from './flowFiles.ts';
import { coloured, counted, printJson, printLine } from './output.ts';
import { useWorkerConfiguration } from './workerConfiguration.ts';

interface SimulateOptions {
  readonly requests: string;
  readonly json?: true;
}

/** `tenure flows simulate OLD NEW --requests FILE`: offline; exit 0 when no recorded decision changes, 1 when one does. */
export function registerFlowsSimulate(flows: Command): void {
  flows
    .command('simulate')
    .description('play recorded requests through two versions of a flow, and list the decisions that change')
    .argument('<old>', 'the flow file as it rules now')
    .argument('<new>', 'the flow file as it would rule')
    .requiredOption('--requests <file>', 'recorded requests: JSON Lines, as `tenure flows record` writes them')
    .option('--json', 'print the report as JSON')
    .action(async (oldFile: string, newFile: string, options: SimulateOptions) => {
      const [before, after] = [await readFlow(oldFile), await readFlow(newFile)];
      if (before.on !== after.on) {
        throw new CommandFailed(
          'usage',
          `${oldFile} is on ${before.on}, ${newFile} on ${after.on}: name two versions of a flow on the same operation.`,
        );
      }
      const simulation = simulate(before, after, await readRecords(options.requests));
      if (simulation.changed.length > 0) process.exitCode = exitCodes.checkFailed.code;
      if (options.json) return printJson({ ok: simulation.changed.length === 0, ...simulation });
      printSimulation(simulation);
    });
}

/** `tenure flows record`: writes the ledger's requests for `simulate` to stdout. */
export function registerFlowsRecord(flows: Command): void {
  flows
    .command('record')
    .description(
      'write the requests of the ledger as JSON Lines, for simulate; reads the ledger with its worker’s tenure.yaml',
    )
    .option('--flow <name>', 'only requests of the flow of this name')
    .option('--config <file>', "the worker's tenure.yaml (default: TENURE_CONFIG, else ./tenure.yaml)")
    .action(({ flow, config }: { flow?: string; config?: string }) => {
      useWorkerConfiguration(config);
      const script = fileURLToPath(new URL('../worker/recordRequests.ts', import.meta.url));
      becomeProcess(script, flow === undefined ? [] : ['--flow', flow]);
    });
}

/** @throws CommandFailed (usage), with every mistake: exit 1 is kept for decisions that change */
async function readFlow(file: string): Promise<Flow> {
  const source = await readText(file);
  const parsed = parseFlow(source, file);
  if (parsed.ok) return parsed.flow;
  throw new CommandFailed('usage', parsed.errors.map((error) => formatFlowError(error, source)).join('\n\n'));
}

async function readRecords(file: string): Promise<readonly RecordedRequest[]> {
  const parsed = parseRecords(await readText(file));
  if (parsed.ok) return parsed.requests;
  throw new CommandFailed(
    'usage',
    [
      ...parsed.mistakes.map(({ line, reason }) => `${file}:${line}: ${reason}`),
      'Nothing was simulated: correct the lines, or record the requests again.',
    ].join('\n'),
  );
}

const shownLimit = 50;

function printSimulation({ played, others, changed, unlike }: Simulation): void {
  const requests = counted(played, 'recorded request');
  if (changed.length === 0)
    printLine(`${coloured('green', 'Nothing changes')}: ${requests} would be decided as before.`);
  else printLine(`${coloured('red', 'Changes')}: ${changed.length} of ${requests} would be decided otherwise.`);
  for (const request of changed.slice(0, shownLimit)) printChanged(request);
  if (changed.length > shownLimit) printLine(`\nand ${changed.length - shownLimit} more: --json lists all of them.`);
  printLine('');
  if (others > 0) printLine(`${counted(others, 'record')} of other operations or subjects were passed over.`);
  if (unlike.length > 0) {
    printLine(
      `${unlike.length} of them ended otherwise in truth than the old flow ends them here, because of what no record holds` +
        ` (a failure, a person who left, other facts later): ${idsOf(unlike)}.`,
    );
  }
  printLine('What people would have done under the new flow is not known: only what they did is offered to it.');
}

function printChanged({ id, subject, environment, requester, why }: ChangedRequest): void {
  printLine(`\n${id}: ${subject} (${environment}), asked for by ${requester}`);
  for (const reason of why) printLine(`  ${reason}`);
}

function idsOf(unlike: Simulation['unlike']): string {
  const shown = unlike.slice(0, 5).map(({ id }) => id);
  return [...shown, ...(unlike.length > shown.length ? ['…'] : [])].join(', ');
}
