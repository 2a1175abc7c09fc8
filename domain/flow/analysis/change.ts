import { durationMs } from '../duration.ts';
import type { IsoDuration } from '../language.ts';
import { durationWords } from './pathWords.ts';

/** Whether a change lets more through (`WEAKENS`), less (`STRENGTHENS`), or neither. */
export type Label = 'WEAKENS' | 'STRENGTHENS' | 'NEUTRAL';

/** One field of one flow that is not what it was. */
export interface Change {
  readonly label: Label;
  readonly flow: string;
  /** Such as `stages.security.approval.separation`; empty for the flow as a whole. */
  readonly path: string;
  readonly was: string;
  readonly is: string;
  readonly because: string;
  /** It can only matter through the paths that requests go; times, for one, do not show in those. */
  readonly isOfPaths: boolean;
}

export function changeOf(flow: string, path: string, was: string, is: string, label: Label, because: string): Change {
  return { label, flow, path, was, is, because, isOfPaths: false };
}

/** A text that decides nothing. */
export function worded(flow: string, path: string, was: string, is: string): readonly Change[] {
  return was === is ? [] : [changeOf(flow, path, was, is, 'NEUTRAL', 'wording decides nothing')];
}

/** A duration that is the stronger the longer it is, for the reason given for a shorter one. */
export function shorterChange(
  flow: string,
  path: string,
  was: IsoDuration,
  is: IsoDuration,
  shorter: string,
): readonly Change[] {
  const difference = durationMs(is) - durationMs(was);
  if (difference === 0) return worded(flow, path, was, is);
  const [label, because]: [Label, string] =
    difference < 0 ? ['WEAKENS', shorter] : ['STRENGTHENS', `the opposite: ${shorter}`];
  return [changeOf(flow, path, durationWords(was), durationWords(is), label, because)];
}

/** A duration that is the weaker the longer it is, for the reason given. */
export function longerChange(
  flow: string,
  path: string,
  was: IsoDuration,
  is: IsoDuration,
  longer: string,
): readonly Change[] {
  const difference = durationMs(is) - durationMs(was);
  if (difference === 0) return was === is ? [] : worded(flow, path, was, is);
  const [label, because]: [Label, string] =
    difference > 0 ? ['WEAKENS', longer] : ['STRENGTHENS', `the opposite: ${longer}`];
  return [changeOf(flow, path, durationWords(was), durationWords(is), label, because)];
}
