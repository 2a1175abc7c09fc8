import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where downloads are kept between installations: TENURE_CACHE_DIR, else XDG_CACHE_HOME/tenure, else ~/.cache/tenure. */
export function cacheDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  if (environment['TENURE_CACHE_DIR']) return environment['TENURE_CACHE_DIR'];
  // The XDG base directory specification 0.8: a relative path is invalid and must be ignored.
  const xdg = environment['XDG_CACHE_HOME'];
  return xdg?.startsWith('/') ? join(xdg, 'tenure') : join(homedir(), '.cache', 'tenure');
}
