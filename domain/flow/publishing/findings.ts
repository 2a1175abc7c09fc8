import type { FlowFinding } from '../analysis/finding.ts';
import { printableFinding } from '../analysis/findingWords.ts';
import { formatFlowError } from '../explain.ts';
import type { FlowError } from '../parse.ts';

/** Why flows cannot be published: a mistake, a finding of lint, a failing test, a broken invariant. */
export interface PublicationFinding extends FlowFinding {
  /** As `tenure flows check` shows it: the line with a caret under the character, and what to do. */
  readonly shown: string;
}

/** A mistake in the text of a document. */
export function errorFinding(error: FlowError, source: string): PublicationFinding {
  const { reason, suggestion, ...place } = error;
  return {
    rule: 'mistake',
    severity: 'error',
    ...place,
    message: reason,
    ...(suggestion === undefined ? {} : { suggestion }),
    shown: formatFlowError(error, source),
  };
}

export function lintFinding(finding: FlowFinding, source: string | undefined): PublicationFinding {
  return { ...finding, shown: printableFinding(finding, source) };
}

/** What is wrong with a document as a whole, or with all of them together (`file` is then empty). */
export function wholeFinding(
  rule: string,
  file: string,
  message: string,
  further: readonly string[] = [],
): PublicationFinding {
  const shown = [`${file === '' ? '' : `${file}: `}error ${rule}: ${message}`, ...further.map((line) => `  ${line}`)];
  return {
    rule,
    severity: 'error',
    file,
    line: 1,
    column: 1,
    path: '',
    message: [message, ...further].join('\n'),
    shown: shown.join('\n'),
  };
}
