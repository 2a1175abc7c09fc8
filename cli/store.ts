import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { becomeProcess } from './becomeProcess.ts';
import { useWorkerConfiguration } from './workerConfiguration.ts';

/** `tenure store`: work on the stores that only an operator with the worker's configuration and keys can do. */
export function registerStore(program: Command): void {
  program
    .command('store')
    .description('look after the embedded (sealed) store')
    .command('rekey')
    .description('seal every value of the sealed stores under their current key, so that previous keys can go')
    .option('--config <file>', "the worker's tenure.yaml (default: TENURE_CONFIG, else ./tenure.yaml)")
    .action(({ config }: { config?: string }) => {
      useWorkerConfiguration(config);
      becomeProcess(fileURLToPath(new URL('../worker/rekey.ts', import.meta.url)), []);
    });
}
