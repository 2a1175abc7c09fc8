import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { KeysUnusable } from '../configuration/keyFiles.ts';
import { readRecoveryKey } from '../configuration/recoveryKeys.ts';
import { type Recovery, RecoveryRefused, readRecovery, signRecovery } from '../domain/flow/publishing/recovery.ts';
import { becomeProcess } from './becomeProcess.ts';
import { CommandFailed } from './exitCodes.ts';
import { readText } from './flowFiles.ts';
import { coloured, counted, printJson, printLine } from './output.ts';
import { printStatement } from './recoveryWords.ts';
import { useWorkerConfiguration } from './workerConfiguration.ts';

interface Options {
  readonly config?: string;
  readonly json?: true;
}

/** `tenure flows recover`: two people of `recovery.keys` publish what no publication can be approved for any more. */
export function registerFlowsRecover(flows: Command): void {
  const recover = flows
    .command('recover')
    .description('when nobody can approve a publication any more: publish flows that two people signed');

  withConfig(recover.command('prepare'))
    .description('check a directory of flows, and write what two people are to sign')
    .argument('<directory>', 'where the flows and invariants.yaml are')
    .requiredOption('--reason <reason>', 'why; both sign it, and it is kept in the evidence')
    .requiredOption('--out <file>', 'the file to write; it must not be there')
    .option('--retire-others', 'also retire what is published and not in the directory')
    .option('--json', 'print what is to be signed as JSON')
    .action((directory: string, options: Options & { reason: string; out: string; retireOthers?: true }) => {
      useWorkerConfiguration(options.config);
      const retire = options.retireOthers === true ? ['--retire-others'] : [];
      become([
        'prepare',
        ...retire,
        ...asJson(options),
        `--reason=${options.reason}`,
        `--out=${options.out}`,
        '--',
        directory,
      ]);
    });

  recover
    .command('sign')
    .description('show what is to be signed and, with --key, sign it: offline, without a ledger')
    .argument('<file>', 'as `prepare` wrote it')
    .option('--key <file>', 'your private key (Ed25519, PKCS 8 PEM), readable by you alone')
    .option('--json', 'print the file as JSON')
    .action(async (file: string, { key, json }: { key?: string; json?: true }) => {
      const before = await readFile(file);
      const after = key === undefined ? before : signRecovery(before, readKey(key));
      if (key !== undefined) await writeFile(file, `${JSON.stringify(after, null, 2)}\n`);
      if (json) return printJson(after);
      printStatement(after.statement);
      const count = counted(after.signatures.length, 'signature');
      if (key === undefined) printLine(`It has ${count}. Read it, then sign it: --key <file>`);
      else
        printLine(
          `${coloured('green', 'Signed')}: it has ${count}. With those of two people: tenure flows recover apply ${file}`,
        );
    });

  withConfig(recover.command('apply'))
    .description('publish what two people signed; on the machine of the worker, with the API and Temporal up or down')
    .argument('<file>', 'as `sign` left it')
    .option('--json', 'print what was done as JSON')
    .action((file: string, options: Options) => {
      useWorkerConfiguration(options.config);
      become(['apply', ...asJson(options), '--', file]);
    });
}

function withConfig(command: Command): Command {
  return command.option('--config <file>', "the worker's tenure.yaml (default: TENURE_CONFIG, else ./tenure.yaml)");
}

const asJson = ({ json }: Options): readonly string[] => (json === true ? ['--json'] : []);

function become(args: readonly string[]): void {
  becomeProcess(fileURLToPath(new URL('../worker/recoverFlows.ts', import.meta.url)), args);
}

async function readFile(file: string): Promise<Recovery> {
  const text = await readText(file);
  try {
    return readRecovery(text);
  } catch (error) {
    if (!(error instanceof RecoveryRefused)) throw error;
    throw new CommandFailed('checkFailed', `${file}: ${error.message}`, { cause: error });
  }
}

function readKey(file: string) {
  try {
    return readRecoveryKey(file);
  } catch (error) {
    if (error instanceof KeysUnusable) throw new CommandFailed('usage', error.message, { cause: error });
    if (!(error instanceof Error && 'code' in error)) throw error;
    throw new CommandFailed('usage', `${file} cannot be read (${error.code}). Name your private key.`, {
      cause: error,
    });
  }
}
