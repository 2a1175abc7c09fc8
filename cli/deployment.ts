import { fileURLToPath } from 'node:url';
import { type Command, InvalidArgumentError } from 'commander';
import { becomeProcess } from './becomeProcess.ts';
import { CommandFailed } from './exitCodes.ts';
import { useWorkerConfiguration } from './workerConfiguration.ts';

interface MakeCurrentOptions {
  readonly config?: string;
  readonly json?: boolean;
  readonly unversioned?: boolean;
  readonly wait: string;
}

/** `tenure deployment`: which release's workers Temporal gives the work to, and moving it. */
export function registerDeployment(program: Command): void {
  const deployment = program.command('deployment').description('look at the versions of the workers, and upgrade them');
  withConfig(deployment.command('show'))
    .description('show every version: current, ramping, draining or drained, and how many workers poll')
    .option('--json', 'print one JSON document')
    .action(({ config, json }: { config?: string; json?: boolean }) => {
      useWorkerConfiguration(config);
      become(['show', ...(json === true ? ['--json'] : [])]);
    });
  withConfig(deployment.command('make-current [build]'))
    .description(
      "give new work to a version's workers, and open requests with it; waits until they poll (default: this release)",
    )
    .option('--unversioned', 'to unversioned workers: to go back to a release that has no `tenure deployment`')
    .option('--wait <seconds>', 'how long to wait for its workers', wholeSeconds, '60')
    .option('--json', 'print one JSON document')
    .action((build: string | undefined, { config, json, unversioned, wait }: MakeCurrentOptions) => {
      if (build !== undefined && unversioned === true)
        throw new CommandFailed('usage', 'Name a build or say --unversioned, not both.');
      useWorkerConfiguration(config);
      become([
        'make-current',
        ...(build === undefined ? [] : [build]),
        ...(unversioned === true ? ['--unversioned'] : []),
        ...(json === true ? ['--json'] : []),
        ...['--wait', wait],
      ]);
    });
}

function withConfig(command: Command): Command {
  return command.option('--config <file>', "the worker's tenure.yaml (default: TENURE_CONFIG, else ./tenure.yaml)");
}

function wholeSeconds(text: string): string {
  if (!/^\d{1,5}$/.test(text)) throw new InvalidArgumentError('Write whole seconds.');
  return text;
}

function become(args: readonly string[]): void {
  becomeProcess(fileURLToPath(new URL('../worker/deploymentCommand.ts', import.meta.url)), args);
}
