import { durationMs } from '../duration.ts';
import type { ApprovalStage } from '../language.ts';
import { type Change, changeOf, longerChange } from './change.ts';
import { durationWords, separatedWords } from './pathWords.ts';
import { keepsAway } from './prove.ts';

/** Who must agree, who may not, and for how long: field by field. */

export function approvalChanges(flow: string, path: string, was: ApprovalStage, is: ApprovalStage): readonly Change[] {
  const [before, after] = [was.approval, is.approval];
  const countOf = ({ require: sources }: ApprovalStage['approval'], from: string): number =>
    sources.find((source) => source.from === from)?.count ?? 0;
  const sources = [...new Set([...before.require, ...after.require].map(({ from }) => from))];
  const counts = sources.flatMap((from): readonly Change[] => {
    const [had, has] = [countOf(before, from), countOf(after, from)];
    if (had === has) return [];
    const words = `of ${from} must agree, and can block`;
    const label = has < had ? 'WEAKENS' : 'STRENGTHENS';
    const because = `${has < had ? 'fewer' : 'more'} ${words}`;
    return [
      { ...changeOf(flow, `${path}.require ${from}`, `approvers ${had}`, `${has}`, label, because), isOfPaths: true },
    ];
  });
  const lost = before.separation.filter((role) => !after.separation.includes(role));
  const gained = after.separation.filter((role) => !before.separation.includes(role));
  const separation = [
    ...lost.map((role): Change => {
      const isKept = keepsAway(is, role);
      const because = isKept
        ? `${separatedWords[role]} counts as a requester, who still may not decide`
        : `${separatedWords[role]} may decide now`;
      return changeOf(flow, `${path}.separation`, role, 'not separated', isKept ? 'NEUTRAL' : 'WEAKENS', because);
    }),
    ...gained.map((role) =>
      changeOf(
        flow,
        `${path}.separation`,
        'not separated',
        role,
        'STRENGTHENS',
        `${separatedWords[role]} may not decide any more`,
      ),
    ),
  ];
  const [blocked, blocks] = [before.denials ?? 1, after.denials ?? 1];
  const isHarder = blocks > blocked;
  const denials =
    blocked === blocks
      ? []
      : [
          changeOf(
            flow,
            `${path}.denials`,
            `${blocked}`,
            `${blocks}`,
            isHarder ? 'WEAKENS' : 'STRENGTHENS',
            isHarder ? 'fewer people can block it: more must deny together' : 'fewer denials end it',
          ),
        ];
  const result =
    before.timeout.result === after.timeout.result
      ? []
      : [
          changeOf(
            flow,
            `${path}.timeout.result`,
            before.timeout.result,
            after.timeout.result,
            'NEUTRAL',
            'the request ends without its effect either way',
          ),
        ];
  const late = longerChange(
    flow,
    `${path}.timeout.after`,
    before.timeout.after,
    after.timeout.after,
    'an approval may come later',
  );
  return [
    ...counts,
    ...separation,
    ...denials,
    ...escalationChange(flow, `${path}.escalate`, before.escalate, after.escalate),
    ...late,
    ...result,
  ];
}

type Escalation = ApprovalStage['approval']['escalate'];

function escalationChange(flow: string, path: string, was: Escalation, is: Escalation): readonly Change[] {
  const words = (escalation: Escalation): string =>
    escalation === undefined ? 'nobody else' : `${escalation.to} after ${durationWords(escalation.after)}`;
  if (words(was) === words(is)) return [];
  const [before, after] = [words(was), words(is)];
  if (is === undefined) return [changeOf(flow, path, before, after, 'STRENGTHENS', 'nobody else may decide later')];
  if (was?.to !== is.to) return [changeOf(flow, path, before, after, 'WEAKENS', `${is.to} may decide too`)];
  const isSooner = durationMs(is.after) < durationMs(was.after);
  const because = `${is.to} may decide ${isSooner ? 'sooner' : 'only later'}`;
  return [changeOf(flow, path, before, after, isSooner ? 'WEAKENS' : 'STRENGTHENS', because)];
}
