import { formatFlowError } from '../explain.ts';
import type { FlowFinding } from './finding.ts';

/** A finding for a terminal: where, what, the line with a caret, and what to do. */
export function printableFinding(finding: FlowFinding, source?: string): string {
  const { rule, severity, message, suggestion, ...place } = finding;
  const shown = formatFlowError({ ...place, reason: `${severity} ${rule}: ${message}` }, source);
  return suggestion === undefined ? shown : `${shown}\n  ${suggestion}`;
}
