/** What may follow one command. `path` is the command without `tenure`: '' or 'evidence export'. */
export interface CommandWords {
  readonly path: string;
  readonly words: readonly { readonly word: string; readonly description: string }[];
}

/** In each shell: walk along the words typed so far for as long as they name commands, then offer what may follow. */
export function bashScript(commands: readonly CommandWords[]): string {
  return `# bash completion of tenure
_tenure() {
  local path='' word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${path:+$path }$word" in
      ${knownPaths(commands)}) path="\${path:+$path }$word" ;;
    esac
  done
  local words=''
  case "$path" in
${commands.map(({ path, words }) => `    ${quote(path)}) words=${quote(words.map(({ word }) => word).join(' '))} ;;`).join('\n')}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}")
}
complete -o default -F _tenure tenure
`;
}

export function zshScript(commands: readonly CommandWords[]): string {
  const described = ({ words }: CommandWords) =>
    words.map(({ word, description }) => quote(`${word}:${description}`)).join(' ');
  return `#compdef tenure
# zsh completion of tenure
_tenure() {
  local at='' word
  for word in "\${words[@]:1:CURRENT-2}"; do
    case "\${at:+$at }$word" in
      ${knownPaths(commands)}) at="\${at:+$at }$word" ;;
    esac
  done
  local -a offered
  case "$at" in
${commands.map((command) => `    ${quote(command.path)}) offered=(${described(command)}) ;;`).join('\n')}
  esac
  _describe 'tenure' offered || _files
}
compdef _tenure tenure
`;
}

export function fishScript(commands: readonly CommandWords[]): string {
  const lines = commands.flatMap(({ path, words }) =>
    words.map(
      ({ word, description }) =>
        `complete -c tenure -n '__tenure_at "${path}"' -a ${quote(word)}${description === '' ? '' : ` -d ${fishQuote(description)}`}`,
    ),
  );
  return `# fish completion of tenure
function __tenure_at
  set -l path ''
  for word in (commandline -opc)[2..]
    switch (string trim "$path $word")
      case ${commands
        .filter(({ path }) => path !== '')
        .map(({ path }) => quote(path))
        .join(' ')}
        set path (string trim "$path $word")
    end
  end
  test "$path" = "$argv[1]"
end
${lines.join('\n')}
`;
}

function knownPaths(commands: readonly CommandWords[]): string {
  return commands
    .filter(({ path }) => path !== '')
    .map(({ path }) => quote(path))
    .join(' | ');
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** In fish's single quotes a backslash escapes too. */
function fishQuote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
