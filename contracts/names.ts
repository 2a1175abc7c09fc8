/** Names that both sides of Temporal share: task queue, workflow ids, update and signal names. */

export const taskQueue = 'tenure';

export type RequestWorkflowType = 'onboarding' | 'rotation' | 'revocation' | 'review';

/** The second line behind the ledger's unique index: one run per identity and kind. */
export function workflowIdOf(kind: RequestWorkflowType, identityId: string): string {
  return `${kind}/${identityId}`;
}

export const lifecycleWorkflowType = 'lifecycle';
export const lifecycleScheduleId = 'lifecycle';

export const openUpdate = 'open';
export const decideUpdate = 'decide';
export const nudgeSignal = 'nudge';
