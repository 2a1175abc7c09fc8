import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { z } from 'zod';
import { registerAgent } from './agent.ts';
import { registerCompletion } from './completion.ts';
import { registerDeployment } from './deployment.ts';
import { registerDoctor } from './doctor.ts';
import { registerEvidence } from './evidence.ts';
import { CommandFailed, exitCodeHelp, exitCodes } from './exitCodes.ts';
import { registerFlows } from './flows.ts';
import { registerFreeze } from './freeze.ts';
import { registerPeople } from './people.ts';
import { registerStore } from './store.ts';
import { registerToken } from './token.ts';
import { registerUp } from './up.ts';

const manifest = z
  .object({ version: z.string(), description: z.string() })
  .parse(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')));

const program = new Command('tenure')
  .description(manifest.description)
  .version(manifest.version)
  .exitOverride()
  .showSuggestionAfterError()
  .addHelpText('after', exitCodeHelp());

registerUp(program);
registerToken(program);
registerDoctor(program);
registerEvidence(program);
registerFlows(program);
registerFreeze(program);
registerAgent(program);
registerPeople(program);
registerStore(program);
registerDeployment(program);
registerCompletion(program);

// Subcommands do not inherit this from the program once they are attached.
const everyCommand = (command: Command): Command[] => [command, ...command.commands.flatMap(everyCommand)];
for (const command of everyCommand(program)) command.exitOverride();

// A reader that has seen enough (`| head`) closes the pipe: nothing is left to say, and nothing has failed.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit();
  throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

/** Says what went wrong, once, on stderr. @returns the exit code */
function report(error: unknown): number {
  // Commander has printed its own message already; showing help or the version is a success.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok.code : exitCodes.usage.code;
  if (error instanceof CommandFailed) {
    process.stderr.write(`${error.message}\n`);
    return exitCodes[error.exit].code;
  }
  const told = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`Tenure failed in a way it does not know:\n${told}\n`);
  return exitCodes.internal.code;
}
