import type { Flow, FlowException } from '../language.ts';
import { type Change, changeOf, worded } from './change.ts';
import { exceptionWords, subjectWords } from './waivers.ts';

/** Exceptions, by their ids: for whom more is waived, or for longer. */
export function exceptionChanges(was: Flow, is: Flow): readonly Change[] {
  const [before, after] = [was.exceptions ?? [], is.exceptions ?? []];
  const ids = [...new Set([...before, ...after].map(({ id }) => id))];
  return ids.flatMap((id) => {
    const [had, has] = [before, after].map((exceptions) => exceptions.find((exception) => exception.id === id));
    if (had !== undefined && has !== undefined) return exceptionChange(is.metadata.name, had, has);
    return [
      ...(had === undefined ? [] : [presence(is, had, false)]),
      ...(has === undefined ? [] : [presence(is, has, true)]),
    ];
  });
}

function presence({ metadata: { name } }: Flow, exception: FlowException, isNew: boolean): Change {
  const words = `${exception.stages.join(', ')} waived for ${exceptionWords(exception)}`;
  const path = `exceptions.${exception.id}`;
  if (isNew)
    return changeOf(name, path, 'absent', words, 'WEAKENS', `${subjectWords(exception.subject)} passes without`);
  return changeOf(name, path, words, 'absent', 'STRENGTHENS', `${subjectWords(exception.subject)} passes as others do`);
}

function exceptionChange(flow: string, was: FlowException, is: FlowException): readonly Change[] {
  const path = `exceptions.${is.id}`;
  const who = subjectWords(is.subject);
  const [before, after] = [subjectWords(was.subject), who];
  const subject =
    before === after
      ? []
      : [changeOf(flow, `${path}.subject`, before, after, 'WEAKENS', `${who} passes without ${is.stages.join(', ')}`)];
  const gained = is.stages.filter((stage) => !was.stages.includes(stage));
  const lost = was.stages.filter((stage) => !is.stages.includes(stage));
  return [
    ...subject,
    ...gained.map((stage) => changeOf(flow, `${path}.stages`, 'absent', stage, 'WEAKENS', `${who} passes without it`)),
    ...lost.map((stage) => changeOf(flow, `${path}.stages`, stage, 'absent', 'STRENGTHENS', `${who} must pass it`)),
    ...untilChange(flow, `${path}.until`, was, is),
    ...worded(flow, `${path}.because`, was.because, is.because),
  ];
}

function untilChange(flow: string, path: string, was: FlowException, is: FlowException): readonly Change[] {
  const differenceMs = Date.parse(is.until) - Date.parse(was.until);
  if (differenceMs === 0) return worded(flow, path, was.until, is.until);
  const who = subjectWords(is.subject);
  if (differenceMs > 0)
    return [
      changeOf(flow, path, was.until, is.until, 'WEAKENS', `${who} passes without ${is.stages.join(', ')} for longer`),
    ];
  return [changeOf(flow, path, was.until, is.until, 'STRENGTHENS', `the exception for ${who} ends sooner`)];
}
