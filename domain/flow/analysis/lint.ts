import type { Approver } from '../../decisions.ts';
import type { Flow, FlowTest, Stage } from '../language.ts';
import { runFlowTest } from '../testing.ts';
import { positionOf, readYaml, type YamlPath } from '../yamlPositions.ts';
import { approvalFindings } from './approvalLint.ts';
import { exceptionFindings } from './exceptionLint.ts';
import type { FlowFinding } from './finding.ts';
import { canFail, weightFindings } from './guardLint.ts';
import { lifeFindings } from './lifeLint.ts';
import type { FlowPath, StepOutcome } from './path.ts';
import { pathsOf } from './paths.ts';
import { type Selected, selections } from './selection.ts';
import { stepUpFindings } from './stepUpLint.ts';

/** What is allowed in a flow, and yet cannot be meant. */

/** Every rule, in a sentence: for reports and documentation. */
export const lintRules = {
  'ambiguous-flows': 'Two flows fit the same request equally well, so that neither governs it.',
  'approval-short-of-people': 'When separation keeps people of the group from deciding, too few may be left.',
  'approval-unsatisfiable': 'Nobody can bring this approval about.',
  'denials-unreachable': 'Fewer people may decide than must deny to end the request.',
  'duplicate-flow-name': 'Two flows have one name, so that versions of one would replace the other.',
  'exception-long': 'An exception ends more than 90 days from now.',
  'exception-over': 'An exception has ended: it waives nothing any more.',
  'exception-without-effect': 'An exception waives nothing: its subject never comes to its stages under this flow.',
  'flow-never-governs': 'Other flows are more specific wherever this one fits.',
  'guard-always-false': 'A guard that is never true: what it guards never happens.',
  'guard-always-true': 'A guard that is always true where it is asked: it checks nothing.',
  'guard-can-fail': 'A guard that cannot be evaluated for some facts, which are then denied.',
  'life-too-short': 'Waits and time-outs on a path last longer together than the request lives.',
  'stage-without-denying-test': 'No test shows that this stage keeps anybody out.',
  'step-up-unsatisfiable': 'Nobody can give this proof.',
  'unreachable-stage': 'No request ever comes to this stage.',
} as const;

export type LintRule = keyof typeof lintRules;

/** A flow as it was read, and the tests that are about it, wherever they stand. */
export interface LintedFlow {
  readonly file: string;
  readonly source: string;
  readonly flow: Flow;
  readonly tests: readonly FlowTest[];
}

/** A finding before it has its place: at a path of the flow's file. */
export interface Found {
  readonly rule: LintRule;
  readonly severity: FlowFinding['severity'];
  readonly path: YamlPath;
  readonly message: string;
  readonly suggestion?: string;
}

/**
 * Findings about flows that govern side by side, in the order of the files. Pure.
 * @param people the whole directory, when it is known; without it, approvals are judged by the flow alone
 * @param now RFC 3339; without it, nothing is said of when exceptions end
 * @throws TooComplex naming the flow, when its guards are too entangled
 */
export function lintFlows(
  flows: readonly LintedFlow[],
  people?: readonly Approver[],
  now?: string,
): readonly FlowFinding[] {
  const kinds = [...new Set(flows.map(({ flow }) => flow.on))];
  const all = flows.map(({ flow }) => flow);
  const selected = kinds.flatMap((on) => selections(all, on));
  return flows.flatMap((linted, index) => {
    const found = [
      ...nameFindings(linted, all.slice(0, index)),
      ...selectionFindings(linted.flow, selected),
      ...pathFindings(linted, selected, people, now),
      ...testFindings(linted),
    ];
    return placed(linted, found);
  });
}

function placed({ file, source }: LintedFlow, found: readonly Found[]): readonly FlowFinding[] {
  const tree = readYaml(source);
  return found
    .map((one) => ({ ...one, offset: tree.offsetOf(one.path) }))
    .sort((one, another) => one.offset - another.offset)
    .map(({ offset, path, ...one }) => ({ ...one, file, ...positionOf(source, offset), path: pathText(path) }));
}

const pathText = (path: YamlPath): string =>
  path.map((step, index) => (typeof step === 'number' ? `[${step}]` : `${index === 0 ? '' : '.'}${step}`)).join('');

function nameFindings({ flow }: LintedFlow, earlier: readonly Flow[]): readonly Found[] {
  const { name } = flow.metadata;
  if (!earlier.some(({ metadata }) => metadata.name === name)) return [];
  return [
    {
      rule: 'duplicate-flow-name',
      severity: 'error',
      path: ['metadata', 'name'],
      message: `There is another flow named ${name}.`,
      suggestion: 'Name each flow after what it governs.',
    },
  ];
}

function selectionFindings(flow: Flow, selected: readonly Selected[]): readonly Found[] {
  const found: Found[] = [];
  const { name } = flow.metadata;
  const path = ['subject', 'where'];
  for (const one of selected) {
    if (one.is === 'ambiguous' && one.flows[1] === flow) {
      const message = `${name} and ${one.flows[0].metadata.name} fit some requests equally well; those are denied with ambiguous-flow.`;
      const suggestion = 'Let one of them say more about whom it covers, or exclude the other.';
      found.push({ rule: 'ambiguous-flows', severity: 'error', path, message, suggestion });
    }
    if (one.is === 'guard-error' && one.flow === flow) found.push(canFail(path, `Whether ${name} covers a request`));
  }
  if (!selected.some((one) => one.is === 'governed' && one.flow === flow)) {
    const message = `${name} never governs a request: it fits none, or others are more specific wherever it fits.`;
    found.push({ rule: 'flow-never-governs', severity: 'warning', path, message });
  }
  return found;
}

function pathFindings(
  { flow }: LintedFlow,
  selected: readonly Selected[],
  people: readonly Approver[] | undefined,
  now: string | undefined,
): readonly Found[] {
  const governed = selected.find((one) => one.is === 'governed' && one.flow === flow);
  if (governed === undefined) return [];
  const paths = pathsOf(flow, governed.conditions);
  return [
    ...weightFindings(flow, governed.conditions),
    ...stageFindings(flow, paths, people),
    ...lifeFindings(flow, paths),
    ...exceptionFindings(flow, paths, now),
  ];
}

function stageFindings(
  flow: Flow,
  paths: readonly FlowPath[],
  people: readonly Approver[] | undefined,
): readonly Found[] {
  const found: Found[] = [];
  let isReached = true;
  for (const [index, stage] of flow.stages.entries()) {
    const outcomes = paths
      .flatMap(({ steps }) => steps.filter((step) => step.stage === stage))
      .map(({ outcome }) => outcome);
    // Passed over by a responder, or denied for the risk, it was never come to.
    const asked = outcomes.filter(
      (outcome) => outcome.is !== 'passed-over' && !(outcome.is === 'not-evaluated' && outcome.guard === 'risk'),
    );
    if (asked.length === 0) {
      // What follows an unreachable stage is so for the same reason.
      if (isReached) found.push(unreachable(stage, index));
      isReached = false;
      continue;
    }
    found.push(...guardFindings(stage, index, asked));
    const met = metPaths(stage, paths);
    if ('approval' in stage) found.push(...approvalFindings(stage, index, met, people));
    if ('stepUp' in stage) found.push(...stepUpFindings(stage, index, met));
  }
  return found;
}

/** Those on which people did what the stage asks of them. */
function metPaths(stage: Stage, paths: readonly FlowPath[]): readonly FlowPath[] {
  const isMet = ({ is }: StepOutcome): boolean => is === 'approved' || is === 'proven';
  return paths.filter(({ steps }) => steps.some((step) => step.stage === stage && isMet(step.outcome)));
}

function unreachable(stage: Stage, index: number): Found {
  const message = `No request comes to stage ${stage.id}: what stands before it ends every one.`;
  return { rule: 'unreachable-stage', severity: 'error', path: ['stages', index, 'id'], message };
}

function guardFindings(stage: Stage, index: number, outcomes: readonly StepOutcome[]): readonly Found[] {
  const found: Found[] = [];
  const failsAt = (guard: 'when' | 'that'): boolean =>
    outcomes.some((outcome) =>
      guard === 'when' ? isWhenFailure(outcome) : outcome.is === 'not-evaluated' && outcome.guard === guard,
    );
  const applied = outcomes.filter((outcome) => outcome.is !== 'skipped' && !isWhenFailure(outcome));
  if (stage.when !== undefined) {
    const path: YamlPath = ['stages', index, 'when'];
    const what = `The condition of stage ${stage.id}`;
    if (failsAt('when')) found.push(canFail(path, what));
    if (applied.length === 0) found.push(constant(path, what, false, 'error', 'the stage never applies'));
    else if (applied.length === outcomes.length)
      found.push(constant(path, what, true, 'warning', 'the stage always applies: leave it out'));
  }
  const asked = applied.filter(({ is }) => is !== 'waived');
  if ('verify' in stage && asked.length > 0) {
    const path: YamlPath = ['stages', index, 'verify', 'that'];
    const what = `What stage ${stage.id} verifies`;
    if (failsAt('that')) found.push(canFail(path, what));
    if (!asked.some(({ is }) => is === 'verified'))
      found.push(constant(path, what, false, 'error', 'the stage denies every request'));
    else if (asked.every(({ is }) => is === 'verified'))
      found.push(constant(path, what, true, 'warning', 'the stage denies nothing'));
  }
  return found;
}

const isWhenFailure = (outcome: StepOutcome): boolean =>
  outcome.is === 'not-told' || (outcome.is === 'not-evaluated' && outcome.guard === 'when');

function constant(
  path: YamlPath,
  what: string,
  value: boolean,
  severity: Found['severity'],
  consequence: string,
): Found {
  const rule = value ? 'guard-always-true' : 'guard-always-false';
  const message = `${what} is ${value ? 'always' : 'never'} true after the stages before it: ${consequence}.`;
  return { rule, severity, path, message };
}

/** A stage that may keep requests out, and that no test has seen do so: whoever breaks it hears nothing. */
function testFindings({ flow, tests }: LintedFlow): readonly Found[] {
  const denying = tests.filter(({ expect }) => expect.outcome === 'denied' || expect.outcome === 'expired');
  // A proof is not denied: what is not good enough is refused, and the request waits.
  const refusing = tests.filter(({ expect }) => expect.outcome === 'waiting' && expect.refused !== undefined);
  return flow.stages.flatMap((stage, index): readonly Found[] => {
    if (!('verify' in stage) && !('approval' in stage) && !('stepUp' in stage)) return [];
    const isShown = [...denying, ...('stepUp' in stage ? refusing : [])].some(
      (flowTest) => runFlowTest(flow, { ...flowTest, expect: { ...flowTest.expect, stage: stage.id } }).passed,
    );
    if (isShown) return [];
    const [ends, expected] =
      'stepUp' in stage
        ? ['expired, or waits there after a refusal', 'waiting, refused: not-eligible']
        : ['denied or expired', 'denied'];
    const message = `No test ends at stage ${stage.id}, ${ends}: nothing shows that it keeps anybody out.`;
    const suggestion = `Add a test with expect: {outcome: ${expected}, stage: ${stage.id}}.`;
    const path = ['stages', index, 'id'];
    return [{ rule: 'stage-without-denying-test', severity: 'warning', path, message, suggestion }];
  });
}
