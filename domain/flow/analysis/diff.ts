import { defaultGrantTtl } from '../../stepUp.ts';
import { type Flow, type IsoDuration, type Stage, type StepUpStage, stageKind, type VerifyStage } from '../language.ts';
import { defaultReviewEvery } from '../review.ts';
import { approvalChanges } from './approvalDiff.ts';
import { type Change, changeOf, longerChange, shorterChange, worded } from './change.ts';
import { exceptionChanges } from './exceptionDiff.ts';
import { flowGuardFormula } from './flowGuardFormula.ts';
import { never, not } from './formula.ts';
import { type PathChange, pathChanges } from './pathDiff.ts';
import { partyWords } from './pathWords.ts';
import { riskChanges } from './riskDiff.ts';
import { implies } from './theory.ts';

/** What a change of flows means: which fields became weaker, and which paths changed by it. */

export interface FlowDiff {
  readonly changes: readonly Change[];
  /** Requests that the two treat differently; what weakens first. */
  readonly paths: readonly PathChange[];
  readonly weakens: boolean;
}

/**
 * Compares flows that govern side by side with what is to replace them, by the names of flows and the ids of stages.
 * Whether a guard is weaker is decided by what it means. A weaker field is only called so where it may make a path easier:
 * where the paths prove that none is, it is neutral. Pure.
 * @throws TooComplex naming the flow, when its paths cannot all be told
 */
export function diffFlows(before: readonly Flow[], after: readonly Flow[]): FlowDiff {
  const paths = pathChanges(before, after);
  const weakened = new Set(paths.filter(({ label }) => label === 'WEAKENS').map(({ on }) => on));
  const names = [...new Set([...before, ...after].map(({ metadata }) => metadata.name))];
  const changes = names.flatMap((name) => {
    const [was, is] = [before, after].map((flows) => flows.find(({ metadata }) => metadata.name === name));
    if (was === undefined || is === undefined || was.on !== is.on) return replaced(name, was, is);
    // A revocation asks its guards at different moments: there one instant proves nothing.
    const isProved = is.on !== 'revocation' && !weakened.has(is.on);
    return fieldChanges(was, is).map((change) => (isProved ? provedHarmless(change) : change));
  });
  const weakens = [...changes, ...paths].some(({ label }) => label === 'WEAKENS');
  return { changes, paths, weakens };
}

/** A diff for programs; `ok` when nothing weakens. */
export interface DiffReport {
  readonly ok: boolean;
  readonly changes: readonly Omit<Change, 'isOfPaths'>[];
  readonly paths: readonly PathChange[];
}

export function diffReport({ changes, paths, weakens }: FlowDiff): DiffReport {
  return { ok: !weakens, changes: changes.map(({ isOfPaths: _isOfPaths, ...change }) => change), paths };
}

function replaced(name: string, was: Flow | undefined, is: Flow | undefined): readonly Change[] {
  const because = 'what it governs, and how, is told by the paths';
  return [
    ...(was === undefined ? [] : [changeOf(name, '', was.on, 'no flow', 'NEUTRAL', because)]),
    ...(is === undefined ? [] : [changeOf(name, '', 'no flow', is.on, 'NEUTRAL', because)]),
  ];
}

function provedHarmless(change: Change): Change {
  if (change.label !== 'WEAKENS' || !change.isOfPaths) return change;
  return { ...change, label: 'NEUTRAL', because: `${change.because}; proved: no path is easier for it` };
}

function fieldChanges(was: Flow, is: Flow): readonly Change[] {
  const { name } = is.metadata;
  return [
    ...worded(name, 'metadata.owner', was.metadata.owner, is.metadata.owner),
    ...worded(name, 'metadata.description', was.metadata.description, is.metadata.description),
    ...governs(was, is),
    ...limitChanges(was, is),
    ...riskChanges(was, is),
    ...stageChanges(was, is),
    ...exceptionChanges(was, is),
    ...testChanges(was, is),
  ];
}

function governs(was: Flow, is: Flow): readonly Change[] {
  const said = ({ subject }: Flow): string =>
    [subject.kind, subject.where].filter((part) => part !== undefined).join(', ');
  if (said(was) === said(is)) return [];
  const because = 'whom it governs is told by the paths';
  return [
    changeOf(
      is.metadata.name,
      'subject',
      said(was) || 'every subject',
      said(is) || 'every subject',
      'NEUTRAL',
      because,
    ),
  ];
}

function limitChanges(was: Flow, is: Flow): readonly Change[] {
  const { name } = is.metadata;
  const limit = (field: keyof Flow['limits'], longer: string, fallback: IsoDuration = 'PT0S'): readonly Change[] =>
    longerChange(name, `limits.${field}`, was.limits[field] ?? fallback, is.limits[field] ?? fallback, longer);
  return [
    ...limit('credentialTtl', 'a credential that leaks is accepted for longer'),
    ...limit('requestTtl', 'a request may wait for its approvals for longer'),
    ...limit('grace', 'the replaced credential is accepted for longer'),
    ...limit('silence', 'the replaced credential is accepted for longer while somebody uses it'),
    ...limit('grantTtl', 'a grant is accepted for longer', defaultGrantTtl),
    ...limit('reviewEvery', 'ownership and scope are reviewed less often', defaultReviewEvery),
  ];
}

function stageChanges(was: Flow, is: Flow): readonly Change[] {
  const { name } = is.metadata;
  const isSame = (one: Stage, another: Stage): boolean =>
    one.id === another.id && stageKind(one) === stageKind(another);
  const removed = was.stages.filter((stage) => !is.stages.some((other) => isSame(stage, other)));
  const added = is.stages.filter((stage) => !was.stages.some((other) => isSame(stage, other)));
  const kept = was.stages.filter((stage) => !removed.includes(stage)).map(({ id }) => id);
  const keptNow = is.stages.filter((stage) => !added.includes(stage)).map(({ id }) => id);
  const order =
    kept.join(' → ') === keptNow.join(' → ')
      ? []
      : [changeOf(name, 'stages', kept.join(' → '), keptNow.join(' → '), 'NEUTRAL', 'every stage is still there')];
  return [
    ...removed.map((stage) => presence(name, stage, false)),
    ...added.map((stage) => presence(name, stage, true)),
    ...order,
    ...is.stages.flatMap((stage) => {
      const before = was.stages.find((other) => isSame(stage, other));
      return before === undefined ? [] : stageChange(name, { of: was, stage: before }, { of: is, stage });
    }),
  ];
}

function presence(flow: string, stage: Stage, isNew: boolean): Change {
  const kind = stageKind(stage);
  const [was, is] = isNew ? ['absent', kind] : [kind, 'absent'];
  const path = `stages.${stage.id}`;
  if (!keepsOut(stage)) return changeOf(flow, path, was, is, 'NEUTRAL', 'it keeps nobody out');
  if (isNew) return changeOf(flow, path, was, is, 'STRENGTHENS', `one more stage that ${power(stage)}`);
  return { ...changeOf(flow, path, was, is, 'WEAKENS', `one stage fewer that ${power(stage)}`), isOfPaths: true };
}

const keepsOut = (stage: Stage): boolean => !('effect' in stage || 'notify' in stage);

function power(stage: Stage): string {
  if ('stepUp' in stage) return 'must be met';
  return `can ${'wait' in stage ? 'delay, so that somebody may object' : 'deny'}`;
}

/** A stage, and the flow whose risk its guards read. */
interface Placed<S extends Stage = Stage> {
  readonly of: Flow;
  readonly stage: S;
}

function stageChange(flow: string, from: Placed, to: Placed): readonly Change[] {
  const [was, is] = [from.stage, to.stage];
  const path = `stages.${is.id}`;
  const when = was.when === is.when ? [] : [whenChange(flow, path, from, to)];
  if ('verify' in was && 'verify' in is)
    return [...when, ...verifyChanges(flow, path, { of: from.of, stage: was }, { of: to.of, stage: is })];
  if ('stepUp' in was && 'stepUp' in is) return [...when, ...stepUpChanges(flow, `${path}.stepUp`, was, is)];
  if ('approval' in was && 'approval' in is) return [...when, ...approvalChanges(flow, `${path}.approval`, was, is)];
  if ('wait' in was && 'wait' in is) {
    const because = 'there is less time to object';
    return [...when, ...shorterChange(flow, `${path}.wait.for`, was.wait.for, is.wait.for, because)];
  }
  if ('notify' in was && 'notify' in is) {
    const [told, tells] = [was.notify.to.join(', '), is.notify.to.join(', ')];
    const because = 'who is told keeps nobody out';
    return told === tells ? when : [...when, changeOf(flow, `${path}.notify.to`, told, tells, 'NEUTRAL', because)];
  }
  return when;
}

function whenChange(flow: string, path: string, was: Placed, is: Placed): Change {
  const [before, after] = [was.stage.when ?? 'always', is.stage.when ?? 'always'];
  const field = `${path}.when`;
  if (!keepsOut(is.stage)) return changeOf(flow, field, before, after, 'NEUTRAL', 'the stage keeps nobody out');
  // What passes is what the stage does not apply to; where it cannot be told, nothing passes.
  const passes = ({ of, stage: { when } }: Placed) =>
    when === undefined ? never : not(flowGuardFormula(of, when, ''));
  const [passed, passing] = [passes(was), passes(is)];
  const [narrower, wider] = [implies([passing], passed), implies([passed], passing)];
  if (narrower && wider) return changeOf(flow, field, before, after, 'NEUTRAL', 'it means the same');
  if (narrower) return changeOf(flow, field, before, after, 'STRENGTHENS', 'the stage applies to more requests');
  const because = wider ? 'the stage applies to fewer requests' : 'the stage no longer applies to some requests';
  return { ...changeOf(flow, field, before, after, 'WEAKENS', because), isOfPaths: true };
}

function stepUpChanges(flow: string, path: string, was: StepUpStage, is: StepUpStage): readonly Change[] {
  const [before, after] = [was.stepUp, is.stepUp];
  const age = longerChange(flow, `${path}.maxAge`, before.maxAge, after.maxAge, 'an older sign-in is proof enough');
  if (before.by === after.by) return age;
  const [asked, asks] = [partyWords[before.by], partyWords[after.by]];
  const because = 'another person proves it than before';
  return [{ ...changeOf(flow, `${path}.by`, asked, asks, 'WEAKENS', because), isOfPaths: true }, ...age];
}

function verifyChanges(
  flow: string,
  path: string,
  { of: from, stage: was }: Placed<VerifyStage>,
  { of: to, stage: is }: Placed<VerifyStage>,
): readonly Change[] {
  const reason = worded(flow, `${path}.verify.otherwise`, was.verify.otherwise, is.verify.otherwise);
  const [before, after] = [was.verify.that, is.verify.that];
  if (before === after) return reason;
  const field = `${path}.verify.that`;
  const [passed, passing] = [flowGuardFormula(from, before, ''), flowGuardFormula(to, after, '')];
  const [narrower, wider] = [implies([passing], passed), implies([passed], passing)];
  if (narrower && wider) return [changeOf(flow, field, before, after, 'NEUTRAL', 'it means the same'), ...reason];
  if (narrower) return [changeOf(flow, field, before, after, 'STRENGTHENS', 'it lets fewer requests pass'), ...reason];
  const because = wider ? 'it lets more requests pass' : 'it lets requests pass that it stopped before';
  return [{ ...changeOf(flow, field, before, after, 'WEAKENS', because), isOfPaths: true }, ...reason];
}

function testChanges(was: Flow, is: Flow): readonly Change[] {
  const names = ({ tests }: Flow): readonly string[] => tests.map(({ name }) => name);
  const gone = names(was).filter((name) => !names(is).includes(name)).length;
  if (JSON.stringify(was.tests) === JSON.stringify(is.tests)) return [];
  const because =
    gone === 0
      ? 'tests decide nothing'
      : `tests decide nothing, but ${gone} of them ${gone === 1 ? 'is' : 'are'} gone: see that the policy they showed still holds`;
  return [changeOf(is.metadata.name, 'tests', `${was.tests.length}`, `${is.tests.length}`, 'NEUTRAL', because)];
}
