import { styleText } from 'node:util';
import Table from 'cli-table3';

type Style = Parameters<typeof styleText>[0];

/** Colours text for a terminal: not when NO_COLOR is set (no-color.org), nor when the output goes to a file or pipe. */
export function coloured(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stdout, validateStream: true });
}

/** Prints data for programs: one JSON document on stdout and nothing else. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

/** Prints rows under their headings, without drawn lines, so that columns can be cut by other programs. */
export function printTable(headings: readonly string[], rows: readonly (readonly string[])[]): void {
  const none = '';
  const table = new Table({
    head: headings.map((heading) => coloured('bold', heading)),
    chars: {
      ...{ top: none, 'top-mid': none, 'top-left': none, 'top-right': none, bottom: none, 'bottom-mid': none },
      ...{ 'bottom-left': none, 'bottom-right': none, left: none, 'left-mid': none, mid: none, 'mid-mid': none },
      ...{ right: none, 'right-mid': none, middle: '  ' },
    },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  for (const row of rows) table.push([...row]);
  process.stdout.write(`${table.toString()}\n`);
}

/** Prints a line for people. */
export function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Text of others on one line of a terminal: what is invisible, or acts on the terminal, is shown as a dot. */
export function visible(text: string): string {
  return text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, '·');
}

/** `1 flow`, `2 flows`. */
export function counted(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}
