/** What a check of flows found, for terminals, programs and code hosts alike. */
export interface FlowFinding {
  /** Stable, kebab-case: what is suppressed, counted or linked to by others. */
  readonly rule: string;
  /** An `error` means that a flow cannot be meant as it stands; a `warning`, that somebody should look. */
  readonly severity: 'error' | 'warning';
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units. */
  readonly column: number;
  /** Such as `stages[2].approval.require`; empty for the file as a whole. */
  readonly path: string;
  /** What was found, to which flow and stage. */
  readonly message: string;
  /** What to write or do instead. */
  readonly suggestion?: string;
}
