import { isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Where the embedded runtime keeps everything: TENURE_STATE_DIR, else `.tenure` beside package.json, wherever the command
 * is run from.
 */
export function stateDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  const chosen = environment['TENURE_STATE_DIR'];
  if (chosen) return isAbsolute(chosen) ? chosen : resolve(chosen);
  return join(fileURLToPath(new URL('..', import.meta.url)), '.tenure');
}
