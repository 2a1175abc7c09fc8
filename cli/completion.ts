import { Argument, type Command } from 'commander';
import { bashScript, type CommandWords, fishScript, zshScript } from './completionScripts.ts';

const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;
type Shell = keyof typeof scripts;

const howToInstall: Record<Shell, string> = {
  bash: 'source <(tenure completion bash)',
  zsh: 'source <(tenure completion zsh)',
  fish: 'tenure completion fish | source',
};

/** `tenure completion`: prints a script that completes the commands and options that `program` has when it is run. */
export function registerCompletion(program: Command): void {
  program
    .command('completion')
    .description('print a completion script for your shell')
    .addArgument(new Argument('<shell>', 'your shell').choices(Object.keys(scripts)))
    .addHelpText(
      'after',
      `\nLoad it from your shell's start-up file:\n${Object.entries(howToInstall)
        .map(([shell, line]) => `  ${shell.padEnd(5)} ${line}`)
        .join('\n')}`,
    )
    .action((shell: Shell) => {
      process.stdout.write(scripts[shell](commandWords(program)));
    });
}

/** Every command with what may follow it, parents before children. */
export function commandWords(command: Command, path: readonly string[] = []): CommandWords[] {
  const help = command.createHelp();
  const subcommands = help.visibleCommands(command).filter((candidate) => candidate.name() !== 'help');
  const own: CommandWords = {
    path: path.join(' '),
    words: [
      ...subcommands.map((subcommand) => ({ word: subcommand.name(), description: subcommand.description() })),
      ...command.registeredArguments
        .flatMap((argument) => argument.argChoices ?? [])
        .map((word) => ({ word, description: '' })),
      ...help.visibleOptions(command).map((option) => ({
        word: option.long ?? option.short ?? option.flags,
        description: option.description,
      })),
    ],
  };
  return [own, ...subcommands.flatMap((subcommand) => commandWords(subcommand, [...path, subcommand.name()]))];
}
