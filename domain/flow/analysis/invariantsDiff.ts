import { canonicalJson } from '../../evidence/canonicalJson.ts';
import { type Change, changeOf, worded } from './change.ts';
import type { Invariant } from './invariants.ts';

/**
 * What a change of the invariants means for those who write flows: one that is gone, or asks less, forbids less. A
 * requirement that is worded otherwise counts as another one, so what is called harmless is.
 */
export function invariantChanges(before: readonly Invariant[], after: readonly Invariant[]): readonly Change[] {
  const ids = [...new Set([...before, ...after].map(({ id }) => id))];
  return ids.flatMap((id): readonly Change[] => {
    const [was, is] = [before, after].map((invariants) => invariants.find((invariant) => invariant.id === id));
    const path = `invariants.${id}`;
    if (is === undefined)
      return was === undefined ? [] : [change(path, was.title, 'absent', 'WEAKENS', 'no longer proved of any change')];
    if (was === undefined)
      return [change(path, 'absent', is.title, 'STRENGTHENS', 'every change is proved against it')];
    return [...worded('invariants', `${path}.title`, was.title, is.title), ...meaningChanges(path, was, is)];
  });
}

function meaningChanges(path: string, was: Invariant, is: Invariant): readonly Change[] {
  const [had, has] = [was, is].map(({ require: required }) => required.map((one) => canonicalJson(one)));
  const lost = (had ?? []).filter((one) => !has?.includes(one));
  const gained = (has ?? []).filter((one) => !had?.includes(one));
  // Without `where` it speaks of every request; any other change of it may leave some out.
  const scope = ({ on, where }: Invariant): string => (where === undefined ? on : `${on} where ${where}`);
  const isNarrower = was.on !== is.on || (was.where !== is.where && is.where !== undefined);
  const waiver = ({ mayBeWaived = false }: Invariant): string => (mayBeWaived ? 'exceptions pass' : 'exceptions count');
  const [counted, counts] = [was, is].map(({ mayBeWaived = false }) => !mayBeWaived);
  return [
    ...(counted === counts
      ? []
      : [
          counts
            ? change(`${path}.mayBeWaived`, waiver(was), waiver(is), 'STRENGTHENS', 'no exception may break it')
            : change(`${path}.mayBeWaived`, waiver(was), waiver(is), 'WEAKENS', 'an exception may break it'),
        ]),
    ...lost.map((one) => change(`${path}.require`, one, 'absent', 'WEAKENS', 'it requires less, or in other words')),
    ...gained.map((one) => change(`${path}.require`, 'absent', one, 'STRENGTHENS', 'it requires more')),
    ...(scope(was) === scope(is)
      ? []
      : [
          isNarrower
            ? change(path, scope(was), scope(is), 'WEAKENS', 'it may speak of fewer requests')
            : change(path, scope(was), scope(is), 'STRENGTHENS', 'it speaks of every request'),
        ]),
  ];
}

function change(path: string, was: string, is: string, label: Change['label'], because: string): Change {
  return changeOf('invariants', path, was, is, label, because);
}
