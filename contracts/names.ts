import type { RequestTarget } from '../domain/flow/open.ts';

/** Names that both sides of Temporal share: task queue, workflow ids, update and signal names. */

export const taskQueue = 'tenure';

export type RequestWorkflowType = RequestTarget['kind'];

/** The second line behind the ledger's unique index: one run per identity and kind; of a publication and a step-up, one per request. */
export function workflowIdOf(kind: RequestWorkflowType, subjectId: string): string {
  return `${kind}/${subjectId}`;
}

export function workflowIdOfTarget(target: RequestTarget): string {
  return workflowIdOf(target.kind, isAlone(target) ? target.requestId : target.identityId);
}

/** Of these, many go on beside each other: each has a run of its own. */
function isAlone(target: RequestTarget): target is Extract<RequestTarget, { requestId: string }> {
  return target.kind === 'publication' || target.kind === 'step-up';
}

/** The function in workflows/ that drives requests of this kind. */
export function workflowTypeOf(kind: RequestWorkflowType): string {
  return kind === 'step-up' ? 'stepUp' : kind;
}

export const lifecycleWorkflowType = 'lifecycle';
export const lifecycleScheduleId = 'lifecycle';

export const openUpdate = 'open';
export const decideUpdate = 'decide';
export const nudgeSignal = 'nudge';
