import { durationMs } from './duration.ts';
import { factTypes, factTypesOf } from './guardFacts.ts';
import { compileGuard } from './guards.ts';
import {
  type ApprovalStage,
  type Flow,
  type FlowException,
  type FlowTest,
  type RequestKind,
  type Stage,
  stageKind,
} from './language.ts';
import { nearestWord } from './nearestWord.ts';
import { effectOf } from './schema.ts';
import { stepUpRules } from './stepUpRules.ts';
import { testPeople, testRoles } from './testFacts.ts';

/** What must hold in a flow beyond the shape of each part. */

/** A rule broken at `path`; with `textOffset`, at a character of the text there. */
export interface BrokenRule {
  readonly path: readonly (string | number)[];
  readonly reason: string;
  readonly suggestion?: string;
  readonly textOffset?: number;
}

/** A flow of which some parts may not have parsed: those are undefined, and rules about them wait for the next run. */
export interface FlowSketch {
  readonly on: Flow['on'] | undefined;
  /** `subject.kind`. */
  readonly kind: Flow['subject']['kind'];
  readonly requestTtl: string | undefined;
  readonly grantTtl: string | undefined;
  /** Reasons of its weights, in their order. */
  readonly risks: readonly (string | undefined)[];
  readonly stages: readonly (Stage | undefined)[];
  readonly exceptions: readonly (FlowException | undefined)[];
  readonly tests: readonly (FlowTest | undefined)[];
}

/** Every rule that this flow breaks, in the order of the file's parts; those of exceptions are in `exceptionRules.ts`. */
export function brokenRules(flow: FlowSketch): readonly BrokenRule[] {
  return [
    ...riskRules(flow),
    ...stageRules(flow),
    ...flow.stages.flatMap((stage, index) => [...approvalRules(flow, stage, index), ...waitRules(flow, stage, index)]),
    ...stepUpRules(flow),
    ...(flow.on === 'publication' ? ownerlessRules(flow) : []),
    ...testRules(flow),
  ];
}

/**
 * Compiles a guard; an error stands at its character of the text.
 * @param on whose facts it may read; undefined where the operation itself could not be read
 */
export function guardRules(
  guard: string,
  path: readonly (string | number)[],
  on: RequestKind | undefined,
): readonly BrokenRule[] {
  const compilation = compileGuard(guard, on);
  if (compilation.ok) return [];
  const { reason, offset, suggestion } = compilation.error;
  return [{ path, reason: `guard: ${reason}`, textOffset: offset, ...(suggestion !== undefined && { suggestion }) }];
}

/**
 * The same for a guard that is asked before the risk is known: which flow governs is chosen first, and weights are what the
 * risk is made of.
 */
export function guardRulesBeforeRisk(
  guard: string,
  path: readonly (string | number)[],
  on: RequestKind | undefined,
): readonly BrokenRule[] {
  const compilation = compileGuard(guard, on);
  if (!compilation.ok || ![...compilation.guard.reads].some((fact) => fact.startsWith('risk.')))
    return guardRules(guard, path, on);
  const reason = 'guard: it is asked before the risk is known, so it cannot read risk';
  return [{ path, reason, textOffset: Math.max(0, guard.search(/\brisk\b/)) }];
}

function riskRules({ risks }: FlowSketch): readonly BrokenRule[] {
  return duplicates(risks).map((index) => ({
    path: ['risk', 'weights', index, 'because'],
    reason: `there is a weight '${risks[index]}' already: reasons tell weights apart in evidence`,
  }));
}

function stageRules({ on, stages }: FlowSketch): readonly BrokenRule[] {
  const broken: BrokenRule[] = duplicates(stages.map((stage) => stage?.id)).map((index) => ({
    path: ['stages', index, 'id'],
    reason: `there is a stage '${stages[index]?.id}' already: ids tell stages apart in evidence`,
  }));
  const effectAt = stages.findIndex((stage) => stage !== undefined && 'effect' in stage);
  for (const [index, stage] of stages.entries()) {
    if (stage === undefined) continue;
    if ('effect' in stage) {
      if (index !== effectAt)
        broken.push({ path: ['stages', index, 'effect'], reason: 'a flow has one effect: there is one before' });
      else if (on !== undefined && stage.effect !== effectOf[on]) {
        broken.push({
          path: ['stages', index, 'effect'],
          reason: `the effect of a flow on ${on} is '${effectOf[on]}'`,
        });
      }
    } else if (effectAt !== -1 && index > effectAt && !('notify' in stage)) {
      broken.push({
        path: ['stages', index, stageKind(stage)],
        reason: 'it stands after the effect, when nothing can be prevented any more',
      });
    }
  }
  if (effectAt === -1 && stages.length > 0 && !stages.includes(undefined)) {
    const effect = on === undefined ? '' : ` (effect: ${effectOf[on]})`;
    broken.push({ path: ['stages'], reason: `a flow without its effect${effect} would approve and do nothing` });
  }
  return broken;
}

function approvalRules({ requestTtl }: FlowSketch, stage: Stage | undefined, index: number): readonly BrokenRule[] {
  if (stage === undefined || !('approval' in stage)) return [];
  const { require: sources, separation, escalate, timeout, denials = 1 } = (stage as ApprovalStage).approval;
  const path = ['stages', index, 'approval'];
  const broken: BrokenRule[] = [
    ...duplicates(sources.map(({ from }) => from)).map((source) => ({
      path: [...path, 'require', source, 'from'],
      reason: `'${sources[source]?.from}' is asked for twice: one entry with the whole count says the same`,
    })),
    ...duplicates(separation).map((role) => ({
      path: [...path, 'separation', role],
      reason: `'${separation[role]}' is here twice`,
    })),
  ];
  for (const [source, { from, count }] of sources.entries()) {
    if (from !== 'owner') continue;
    const at = [...path, 'require', source];
    if (count > 1) broken.push({ path: [...at, 'count'], reason: 'there is one owner only' });
    if (separation.includes('owner'))
      broken.push({ path: [...at, 'from'], reason: 'separation keeps the owner from deciding, so this is never met' });
  }
  if (denials > 1 && escalate === undefined && sources.every(({ from }) => from === 'owner')) {
    broken.push({ path: [...path, 'denials'], reason: 'only the owner decides here: nobody else could deny as well' });
  }
  if (escalate !== undefined && durationMs(escalate.after) >= durationMs(timeout.after)) {
    broken.push({
      path: [...path, 'escalate', 'after'],
      reason: `escalation comes before the timeout of ${timeout.after}, or never`,
    });
  }
  if (requestTtl !== undefined && durationMs(timeout.after) > durationMs(requestTtl)) {
    broken.push({
      path: [...path, 'timeout', 'after'],
      reason: `the request ends after ${requestTtl} (limits.requestTtl), before this timeout`,
    });
  }
  return broken;
}

function waitRules({ requestTtl }: FlowSketch, stage: Stage | undefined, index: number): readonly BrokenRule[] {
  if (stage === undefined || !('wait' in stage) || requestTtl === undefined) return [];
  if (durationMs(stage.wait.for) < durationMs(requestTtl)) return [];
  const reason = `the request ends after ${requestTtl} (limits.requestTtl), before this wait is over`;
  return [{ path: ['stages', index, 'wait', 'for'], reason }];
}

/** A publication has no identity: nobody owns it, and it is of no kind. */
function ownerlessRules({ kind, stages, exceptions }: FlowSketch): readonly BrokenRule[] {
  const reason = 'a publication is about no identity, so it has no owner';
  const ofKind =
    kind === undefined
      ? []
      : [{ path: ['subject', 'kind'], reason: 'a publication is about no identity: it has no kind' }];
  const ofStages = stages.flatMap((stage, index): readonly BrokenRule[] => {
    if (stage === undefined) return [];
    const path = ['stages', index];
    if ('notify' in stage)
      return placesOf(stage.notify.to, 'owner').map((at) => ({ path: [...path, 'notify', 'to', at], reason }));
    if ('stepUp' in stage) return stage.stepUp.by === 'owner' ? [{ path: [...path, 'stepUp', 'by'], reason }] : [];
    if (!('approval' in stage)) return [];
    const { require: sources, separation } = stage.approval;
    return [
      ...placesOf(
        sources.map(({ from }) => from),
        'owner',
      ).map((at) => ({
        path: [...path, 'approval', 'require', at, 'from'],
        reason,
      })),
      ...placesOf(separation, 'owner').map((at) => ({ path: [...path, 'approval', 'separation', at], reason })),
    ];
  });
  const ofExceptions = exceptions.map((_exception, index) => ({
    path: ['exceptions', index],
    reason: 'an exception is for an identity, and a publication is about none',
  }));
  return [...ofKind, ...ofStages, ...ofExceptions];
}

function placesOf(words: readonly string[], word: string): readonly number[] {
  return words.flatMap((one, at) => (one === word ? [at] : []));
}

/** What tests may not say of the flow that these stages are of. */
export function testRules({ on, stages, tests }: Pick<FlowSketch, 'on' | 'stages' | 'tests'>): readonly BrokenRule[] {
  const broken: BrokenRule[] = duplicates(tests.map((given) => given?.name)).map((index) => ({
    path: ['tests', index, 'name'],
    reason: `there is a test '${tests[index]?.name}' already`,
  }));
  const ids = stages.flatMap((stage) => stage?.id ?? []);
  for (const [index, flowTest] of tests.entries()) {
    if (flowTest === undefined) continue;
    const { expect, events, given } = flowTest;
    const known = on === undefined ? factTypes : factTypesOf(on);
    for (const root of Object.keys(given).filter((fact) => factTypes.has(fact) && !known.has(fact))) {
      broken.push({
        path: ['tests', index, 'given', root],
        reason: `'${root}' is no fact of a ${on}; its facts are ${[...known.keys()].join(', ')}`,
      });
    }
    if (expect.stage !== undefined && !ids.includes(expect.stage) && !stages.includes(undefined)) {
      broken.push({
        path: ['tests', index, 'expect', 'stage'],
        reason: `there is no stage '${expect.stage}'`,
        ...suggest(expect.stage, ids),
      });
    }
    if (expect.refused !== undefined && !events.some((event) => 'decision' in event || 'confirm' in event)) {
      broken.push({
        path: ['tests', index, 'expect', 'refused'],
        reason: 'no event of this test is a decision or a proof',
      });
    }
    if (expect.outcome === 'not-covered') {
      const idle = events.length > 0 ? 'events' : Object.keys(expect).find((field) => field !== 'outcome');
      if (idle !== undefined) {
        broken.push({
          path: idle === 'events' ? ['tests', index, 'events'] : ['tests', index, 'expect', idle],
          reason: 'a request that the flow does not cover never begins: nothing more can be told of it',
        });
      }
    }
    const people = [...testRoles, ...testPeople.keys(), ...Object.keys(Object(given['people']))];
    for (const [at, event] of events.entries()) {
      const [key, name] = 'decision' in event ? ['by', event.by] : ['confirm', 'confirm' in event ? event.confirm : ''];
      if (name !== '' && !people.includes(name)) {
        broken.push({
          path: ['tests', index, 'events', at, key],
          reason: `nobody is called '${name}' here: add them to given.people with their groups`,
          ...suggest(name, people),
        });
      }
    }
  }
  return broken;
}

/** Indexes of entries that are the same as an earlier one. */
export function duplicates(entries: readonly (string | undefined)[]): number[] {
  return [...entries.keys()].filter((index) => entries[index] !== undefined && entries.indexOf(entries[index]) < index);
}

export function suggest(word: string, known: readonly string[]): { suggestion?: string } {
  const suggestion = nearestWord(word, known);
  return suggestion === undefined ? {} : { suggestion };
}
