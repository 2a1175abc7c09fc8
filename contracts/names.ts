import type { RequestTarget } from '../domain/flow/open.ts';

/** Names that both sides of Temporal share: task queue, workflow ids, update and signal names. */

export const taskQueue = 'tenure';

export type RequestWorkflowType = RequestTarget['kind'];

/** The second line behind the ledger's unique index: one run per identity and kind; of a publication, one per request. */
export function workflowIdOf(kind: RequestWorkflowType, subjectId: string): string {
  return `${kind}/${subjectId}`;
}

export function workflowIdOfTarget(target: RequestTarget): string {
  return workflowIdOf(target.kind, target.kind === 'publication' ? target.requestId : target.identityId);
}

export const lifecycleWorkflowType = 'lifecycle';
export const lifecycleScheduleId = 'lifecycle';

export const openUpdate = 'open';
export const decideUpdate = 'decide';
export const nudgeSignal = 'nudge';
