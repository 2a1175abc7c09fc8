import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { becomeProcess } from './becomeProcess.ts';
import { useWorkerConfiguration } from './workerConfiguration.ts';

interface Options {
  readonly config?: string;
  readonly json?: true;
}

/** `tenure evidence audit`, `accept`, `succeed` and `anchor seed`: work on the log itself, where the worker's keys and ledger are. */
export function registerEvidenceCare(evidence: Command): void {
  withOptions(evidence.command('audit'))
    .description(
      'verify all evidence in the ledger against its MACs, hashes, head and anchor, now; names what is wrong',
    )
    .action((options: Options) => become(options, ['audit']));

  withOptions(evidence.command('accept'))
    .description('let one damaged entry stand as it is when nothing has it as it was, and say so in the evidence')
    .argument('<entry>', 'as `audit` names it: an entry id, or leaf/<index> where the entry is gone')
    .requiredOption('--reason <reason>', 'why it cannot be put back; kept in the evidence')
    .action((entry: string, options: Options & { reason: string }) =>
      become(options, [`--reason=${options.reason}`, '--', 'accept', entry]),
    );

  withOptions(evidence.command('succeed'))
    .description('let evidence-signing.next in the key directory sign the log from now on; stop the worker first')
    .action((options: Options) => become(options, ['succeed']));

  withOptions(evidence.command('anchor').description('the checkpoint kept outside').command('seed'))
    .description('give an anchor that keeps nothing yet the newest checkpoint, beside a log that was signed already')
    .action((options: Options) => become(options, ['seed']));
}

function withOptions(command: Command): Command {
  return command
    .option('--config <file>', "the worker's tenure.yaml (default: TENURE_CONFIG, else ./tenure.yaml)")
    .option('--json', 'print what was found or done as JSON');
}

function become({ config, json }: Options, args: readonly string[]): void {
  useWorkerConfiguration(config);
  const script = fileURLToPath(new URL('../worker/lookAfterEvidence.ts', import.meta.url));
  becomeProcess(script, [...(json === true ? ['--json'] : []), ...args]);
}
