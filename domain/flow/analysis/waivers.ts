import type { ExceptionSubject, Flow, FlowException, Stage } from '../language.ts';
import { fact } from './atoms.ts';
import { all, any, type Formula } from './formula.ts';

/** Exceptions as conditions: for whom, and until when, a stage is waived. */

export function exceptionsOf({ exceptions = [] }: Flow, stage: Stage): readonly FlowException[] {
  return exceptions.filter(({ stages }) => stages.includes(stage.id));
}

/** One of them waives its stages at this moment. */
export function waiverFormula(exceptions: readonly FlowException[], moment: string): Formula {
  return any(
    ...exceptions.map(({ subject, until }) =>
      all(...subjectFormulas(subject, moment), {
        op: 'atom',
        atom: { kind: 'number', of: fact('now', moment), comparison: '<', bound: BigInt(Date.parse(until)) },
      }),
    ),
  );
}

function subjectFormulas(subject: ExceptionSubject, moment: string): readonly Formula[] {
  const is = (path: string, value: string): Formula => ({
    op: 'atom',
    atom: { kind: 'text', fact: fact(path, moment), values: [value] },
  });
  if ('id' in subject) return [is('subject.id', subject.id)];
  return [is('subject.name', subject.name), is('subject.environment', subject.environment)];
}

/** `payments-bot in production until 2027-01-31T00:00:00Z`. */
export function exceptionWords({ subject, until }: Pick<FlowException, 'subject' | 'until'>): string {
  return `${subjectWords(subject)} until ${until}`;
}

export function subjectWords(subject: ExceptionSubject): string {
  return 'id' in subject ? `the identity ${subject.id}` : `${subject.name} in ${subject.environment}`;
}
