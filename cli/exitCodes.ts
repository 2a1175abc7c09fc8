/** Exit codes of `tenure`, after BSD sysexits.h where it has one. README and `tenure --help` show this table. */
export const exitCodes = {
  ok: { code: 0, meaning: 'done' },
  checkFailed: { code: 1, meaning: 'a check did not pass (doctor, evidence verify, flows lint …)' },
  usage: { code: 2, meaning: 'the command line is wrong' },
  unavailable: { code: 69, meaning: 'a server that is needed does not answer, or it said no' },
  internal: { code: 70, meaning: 'Tenure itself failed: please report it' },
  alreadyRunning: { code: 75, meaning: 'another start is running on the same state' },
  configuration: { code: 78, meaning: 'configuration, Node version or machine are not as needed' },
} as const;

export type ExitName = keyof typeof exitCodes;

/** Ends a command with a message for its user and the exit code of that name. Nothing else is printed. */
export class CommandFailed extends Error {
  override readonly name = 'CommandFailed';
  readonly exit: ExitName;
  constructor(exit: ExitName, message: string, options?: ErrorOptions) {
    super(message, options);
    this.exit = exit;
  }
}

/** The table as the end of `--help`. */
export function exitCodeHelp(): string {
  const rows = Object.values(exitCodes).map(({ code, meaning }) => `  ${String(code).padEnd(4)}${meaning}`);
  return ['', 'Exit codes:', ...rows].join('\n');
}
