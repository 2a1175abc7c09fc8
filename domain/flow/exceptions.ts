import type { Draft } from './draft.ts';
import type { SubjectFacts } from './facts.ts';
import type { ExceptionSubject, FlowException, Stage } from './language.ts';

/** Exceptions: stages that a flow waives for one subject, up to an instant. */

/** Of the exceptions that waive this stage now, for this subject, the first; undefined when the stage stands. */
export function exceptionFor({ flow, facts, nowMs }: Draft, stage: Stage): FlowException | undefined {
  // They are for identities: a publication has none, and waives nothing.
  if (!('subject' in facts.guardFacts)) return undefined;
  const { subject } = facts.guardFacts;
  return flow.exceptions?.find(
    ({ stages, subject: meant, until }) =>
      stages.includes(stage.id) && isMeant(meant, subject) && nowMs < Date.parse(until),
  );
}

/** Spelled exactly so. By the key of `names.ts`, whoever takes a name that looks like it would take its waiver too. */
function isMeant(meant: ExceptionSubject, { id, name, environment }: SubjectFacts): boolean {
  return 'id' in meant ? meant.id === id : meant.name === name && meant.environment === environment;
}

/** The stage is passed by this exception. Told once for each passing, however often it is asked again. */
export function waive(draft: Draft, { id: stage }: Stage, { id: exception, until }: FlowException): void {
  const { waived = [] } = draft.state;
  if (waived.some((waiver) => waiver.stage === stage && waiver.exception === exception)) return;
  const others = waived.filter((waiver) => waiver.stage !== stage);
  draft.state = { ...draft.state, waived: [...others, { stage, exception, until }] };
  draft.note('request.stage-waived', { stage, exception, until });
}

/** Whether a stage behind the request is waived now. Where its waiver has ended since, that is told, and the stage stands. */
export function isStillWaived(draft: Draft, stage: Stage): boolean {
  const exception = exceptionFor(draft, stage);
  if (exception !== undefined) {
    waive(draft, stage, exception);
    return true;
  }
  const ended = draft.state.waived?.find((waiver) => waiver.stage === stage.id);
  if (ended !== undefined) {
    draft.state = { ...draft.state, waived: draft.state.waived?.filter((waiver) => waiver !== ended) ?? [] };
    draft.note('request.waiver-ended', { ...ended });
  }
  return false;
}
