import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Instruction {
  readonly name: string;
  readonly text: string;
}

/** The stages of the Dockerfile, each a list of its instructions; each instruction stands on one line. */
export function stages(): readonly (readonly Instruction[])[] {
  const found: Instruction[][] = [];
  for (const line of readFileSync(`${root}Dockerfile`, 'utf8').split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const [, name = '', text = ''] = /^([A-Z]+) (.+)$/.exec(line) ?? [];
    if (name === '') throw new Error(`no instruction: ${line}`);
    if (name === 'FROM') found.push([]);
    found.at(-1)?.push({ name, text });
  }
  return found;
}

/** What the build stage copies from this repository: from where, and to where in the image. */
export function copies(): readonly { readonly sources: readonly string[]; readonly to: string }[] {
  const [build = []] = stages();
  return build
    .filter(({ name }) => name === 'COPY')
    .map(({ text }) => {
      const parts = text.split(' ');
      return { sources: parts.slice(0, -1), to: parts.at(-1) ?? '' };
    });
}
