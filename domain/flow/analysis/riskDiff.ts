import { compileGuard } from '../guards.ts';
import type { Flow, Guard, RiskWeight } from '../language.ts';
import { weightsOf } from '../risk.ts';
import { type Change, changeOf } from './change.ts';
import { all, type Formula, never, notTrue } from './formula.ts';
import { guardFormula } from './guardFormula.ts';
import { canBe } from './theory.ts';

/** What a change of weights does to the score, and whether anything asks for it. Weights are told apart by their reasons. */

export function riskChanges(was: Flow, is: Flow): readonly Change[] {
  const reasons = new Set([...weightsOf(was), ...weightsOf(is)].map(({ because }) => because));
  const asked = [...new Set([...readersOf(was), ...readersOf(is)])];
  return [...reasons].flatMap((reason): readonly Change[] => {
    const [before, after] = [was, is].map((flow) => weightsOf(flow).find(({ because }) => because === reason));
    if (before?.when === after?.when && before?.add === after?.add) return [];
    const change = changeOf(is.metadata.name, `risk ${reason}`, worded(before), worded(after), 'NEUTRAL', '');
    const { falls, rises } = movesOf(before, after);
    if (!falls && !rises) return [{ ...change, because: 'it means the same' }];
    if (asked.length === 0) return [{ ...change, because: 'no stage asks for the score: it is only shown' }];
    if (!falls && asked.every(asksForMuch))
      return [{ ...change, label: 'STRENGTHENS', because: 'some requests have a higher score, and stages ask for it' }];
    const because = `some requests have a ${falls ? 'lower' : 'higher'} score, and stages ask for it`;
    return [{ ...change, label: 'WEAKENS', because, isOfPaths: true }];
  });
}

const worded = (weight: RiskWeight | undefined): string =>
  weight === undefined ? 'absent' : `${weight.add} when ${weight.when.replaceAll(/\s+/g, ' ').trim()}`;

/** Whether some facts have a lower score by the weight as it is now, and whether some have a higher one. */
function movesOf(was: RiskWeight | undefined, is: RiskWeight | undefined): { falls: boolean; rises: boolean } {
  const [had, has] = [holdsOf(was), holdsOf(is)];
  const cases: readonly (readonly [Formula, number])[] = [
    [all(had, has), (is?.add ?? 0) - (was?.add ?? 0)],
    [all(had, notTrue(has)), -(was?.add ?? 0)],
    [all(notTrue(had), has), is?.add ?? 0],
  ];
  const moves = cases.filter(([when]) => canBe([when])).map(([, by]) => by);
  return { falls: moves.some((by) => by < 0), rises: moves.some((by) => by > 0) };
}

const holdsOf = (weight: RiskWeight | undefined): Formula =>
  weight === undefined ? never : guardFormula(weight.when, '');

interface Reader {
  readonly guard: Guard;
  /** Its stage applies where the guard holds; otherwise it is what the stage verifies. */
  readonly isWhen: boolean;
}

/** Guards of stages that keep requests out, if they read the score. */
function readersOf({ stages }: Flow): readonly Reader[] {
  return stages
    .filter((stage) => !('notify' in stage))
    .flatMap((stage): readonly Reader[] => [
      ...(stage.when === undefined ? [] : [{ guard: stage.when, isWhen: true }]),
      ...('verify' in stage ? [{ guard: stage.verify.that, isWhen: false }] : []),
    ])
    .filter(({ guard }) => readsScore(guard));
}

function readsScore(guard: Guard): boolean {
  const compilation = compileGuard(guard);
  return compilation.ok && compilation.guard.reads.has('risk.score');
}

/** It lets a stage apply to high scores, and asks nothing else of them: a higher score then never passes more easily. */
function asksForMuch({ guard, isWhen }: Reader): boolean {
  const asked = guard.match(/\brisk\.score\b/g) ?? [];
  const ofMuch = guard.match(/\brisk\.score\s*>=?\s*-?\d+/g) ?? [];
  return isWhen && !guard.includes('!') && !guard.includes('?') && asked.length === ofMuch.length;
}
