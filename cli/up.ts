import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { becomeProcess } from './becomeProcess.ts';

/** `tenure up`: runs everything in this terminal until Ctrl-C. */
export function registerUp(program: Command): void {
  program
    .command('up')
    .description('run Tenure here: PostgreSQL, Temporal, sign-in, worker and API, until Ctrl-C')
    .addHelpText(
      'after',
      [
        '',
        'State is kept in .tenure (TENURE_STATE_DIR). Ports: TENURE_PORT (API, 8080), TENURE_POSTGRES_PORT,',
        'TENURE_TEMPORAL_PORT, TENURE_SIGN_IN_PORT (chosen free at the first start, then kept).',
      ].join('\n'),
    )
    .action(() => becomeProcess(fileURLToPath(new URL('../embedded/up.ts', import.meta.url)), []));
}
