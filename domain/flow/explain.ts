import type { FlowError } from './parse.ts';

/** Characters of a source line shown around a mistake. */
const shownWidth = 120;

/**
 * A mistake in words for a terminal: where, what, the line itself with a caret under the character, and a suggestion.
 * @param source the file's text as it was parsed; without it, the line is left out
 */
export function formatFlowError(error: FlowError, source?: string): string {
  const at = error.path === '' ? '' : ` (at ${error.path})`;
  const headline = `${error.file}:${error.line}:${error.column}: ${error.reason}${at}`;
  const hint = error.suggestion === undefined ? [] : [`  did you mean '${error.suggestion}'?`];
  return [headline, ...excerpt(error, source), ...hint].map(printable).join('\n');
}

/** What is invisible or moves the cursor would put the caret elsewhere, or act on the terminal. */
function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e\u00a1-\u024f\u2026]/g, '·');
}

function excerpt({ line, column }: FlowError, source: string | undefined): readonly string[] {
  const text = source?.split('\n', line)[line - 1];
  if (text === undefined) return [];
  const from = Math.max(0, column - shownWidth / 2);
  const shown = text.slice(from, from + shownWidth);
  const number = String(line);
  return [`  ${number} | ${shown}`, `  ${' '.repeat(number.length)} | ${' '.repeat(column - 1 - from)}^`];
}
