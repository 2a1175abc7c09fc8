import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { z } from 'zod';
import { exitCodes } from './exitCodes.ts';
import { coloured, printJson, printTable } from './output.ts';

const Examination = z.array(
  z.strictObject({
    check: z.string(),
    result: z.enum(['ok', 'wrong', 'note']),
    found: z.string(),
    remedy: z.string().optional(),
  }),
);

const colours = { ok: 'green', wrong: 'red', note: 'yellow' } as const;

/** `tenure doctor`: what `tenure up` needs on this machine and how the running one is; exit 1 if something is wrong. */
export function registerDoctor(program: Command): void {
  program
    .command('doctor')
    .description('check what `tenure up` needs on this machine, and the running one')
    .option('--json', 'print the checks as JSON')
    .action(async (options: { json?: true }) => {
      const script = fileURLToPath(new URL('../embedded/examine.ts', import.meta.url));
      const { stdout } = await promisify(execFile)(process.execPath, [script]);
      const checks = Examination.parse(JSON.parse(stdout));
      const wrong = checks.filter((check) => check.result === 'wrong');
      if (options.json) {
        printJson(checks);
      } else {
        process.stdout.write(wrong.length === 0 ? 'Everything needed is here.\n\n' : `${wrong.length} wrong.\n\n`);
        printTable(
          ['check', 'result', 'found'],
          checks.map(({ check, result, found }) => [check, coloured(colours[result], result), found]),
        );
        for (const { check, remedy } of checks)
          if (remedy !== undefined) process.stdout.write(`\n${check}: ${remedy}\n`);
      }
      if (wrong.length > 0) process.exitCode = exitCodes.checkFailed.code;
    });
}
