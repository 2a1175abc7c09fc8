import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { CommandFailed } from './exitCodes.ts';

/**
 * Names the worker's tenure.yaml to the process that this one becomes: the one given, else TENURE_CONFIG, else ./tenure.yaml.
 * @throws CommandFailed when there is no such file
 */
export function useWorkerConfiguration(given: string | undefined): void {
  const path = resolve(given ?? process.env['TENURE_CONFIG'] ?? 'tenure.yaml');
  if (!existsSync(path))
    throw new CommandFailed('configuration', `There is no ${path}. Name the worker's configuration with --config.`);
  process.env['TENURE_CONFIG'] = path;
}
