import type { Approver } from '../decisions.ts';
import { isFinalRequestState } from '../states.ts';
import type { Advance } from './advance.ts';
import { durationMs } from './duration.ts';
import type { Verdict } from './events.ts';
import type { Facts } from './facts.ts';
import type { Flow, FlowTest, FlowTestEvent, FlowTestExpectation } from './language.ts';
import { selectFlow } from './select.ts';
import { factsOfTest, personOfTest } from './testFacts.ts';
import { TestWorld } from './testWorld.ts';

/** Where a request stood at the end of a test. `outcome` may be more than a test can expect, such as `guard-error`. */
export interface FlowTestOutcome extends Partial<Omit<FlowTestExpectation, 'outcome'>> {
  readonly outcome: string;
}

export type FlowTestResult =
  | { readonly passed: true; readonly trace: readonly string[] }
  | {
      readonly passed: false;
      readonly expected: FlowTestExpectation;
      readonly got: FlowTestOutcome;
      /** What happened, an event a line. */
      readonly trace: readonly string[];
    };

/** Sees how a test went, beyond where it ended. */
export interface FlowTestWatch {
  /** Whether the flow turned out to be for the subject; not called when that cannot be told. */
  covered(facts: Facts, isCovered: boolean): void;
  step(step: Advance): void;
}

/** The one weight of a test that gives the risk itself. */
const givenByTest = 'given by the test';

/** Steps after which a request that should complete is taken not to. */
const stepLimit = 100;

/**
 * Runs one test of a flow with the `advance` that runs in production: the events in order, then, when `completed` is
 * expected, issuer and store succeed at everything and grace windows pass. Every field of `expect` must come out; a field
 * left out is not looked at. Pure: the same flow and test give the same result.
 */
export function runFlowTest(flow: Flow, test: FlowTest, watch?: FlowTestWatch): FlowTestResult {
  const facts = factsOfTest(flow, test.given);
  const { expect } = test;
  const selection = selectFlow([{ flow }], facts);
  if (!('found' in selection)) {
    const isKnown = 'none' in selection && selection.none === 'no-flow';
    if (isKnown) watch?.covered(facts, false);
    const trace = 'none' in selection ? [selection.detail] : [];
    if (isKnown && expect.outcome === 'not-covered') return { passed: true, trace };
    return { passed: false, expected: expect, got: { outcome: isKnown ? 'not-covered' : 'guard-error' }, trace };
  }
  watch?.covered(facts, true);
  const flowAuthor = String(test.given['flowAuthor'] ?? 'flow-author');
  const world = new TestWorld({
    flow: withGivenRisk(flow, test),
    facts,
    flowAuthor,
    watch: (step) => watch?.step(step),
  });
  let refused: string | undefined;
  for (const event of test.events) {
    const verdict = play(world, event, (name) => personOfTest(name, test.given, facts));
    if ('decision' in event || 'confirm' in event) refused = verdict?.accepted === false ? verdict.slug : undefined;
  }
  if (expect.outcome === 'completed') complete(world);

  const { reason, stage, trace } = world;
  const got: FlowTestOutcome = {
    outcome: outcomeOf(world),
    ...(reason !== undefined && { reason }),
    ...(refused !== undefined && { refused }),
    ...(stage !== undefined && { stage }),
  };
  const isMet =
    got.outcome === expect.outcome &&
    (expect.reason === undefined || got.reason === expect.reason) &&
    (expect.stage === undefined || got.stage === expect.stage) &&
    // A decision that nobody expected to be refused proves nothing by its place in the test.
    got.refused === expect.refused;
  return isMet ? { passed: true, trace } : { passed: false, expected: expect, got, trace };
}

/** A risk that a test gives is what it is, whatever the weights. */
function withGivenRisk(flow: Flow, { given }: FlowTest): Flow {
  const score: unknown = Reflect.get(Object(given['risk']), 'score');
  if (typeof score !== 'number') return flow;
  return { ...flow, risk: { weights: [{ when: 'true', add: score, because: givenByTest }] } };
}

/** @returns the verdict on a decision or command; undefined for what the world does by itself */
function play(
  world: TestWorld,
  event: FlowTestEvent,
  personOf: (name: string) => Approver | undefined,
): Verdict | undefined {
  // Whom no directory knows may be tried too: they are not eligible.
  if ('decision' in event) {
    return world.decide(personOf(event.by) ?? { id: event.by, active: false, groups: [] }, event.decision);
  }
  if ('confirm' in event) {
    const person = personOf(event.confirm) ?? { id: event.confirm, active: false, groups: [] };
    return world.confirm(person, world.nowMs - durationMs(event.age ?? 'PT0S'));
  }
  if ('pause' in event) return world.command(event.pause, 'pause');
  if ('resume' in event) return world.command(event.resume, 'resume');
  if ('cancel' in event) return world.command(event.cancel, 'cancel');
  if ('wait' in event) world.wait(durationMs(event.wait));
  else if ('freeze' in event) world.freeze();
  else world.thaw();
  return undefined;
}

/** Issuer and store succeed; only the clocks of the effect run on, never those of people. */
export function complete(world: TestWorld): void {
  for (let step = 0; step < stepLimit; step++) {
    const [order] = world.plan.effects;
    if (order !== undefined) world.succeed(order);
    else if (isFinalRequestState(world.requestState) || outcomeOf(world) !== 'issuing' || !world.fireTimer()) return;
  }
}

/** Where a request stands, in the words of tests. */
export function outcomeOf({ requestState }: Pick<TestWorld, 'requestState'>): string {
  switch (requestState) {
    case 'awaiting-approval':
    case 'awaiting-proof':
    // Between two events a request is only ever at a wait in this state.
    case 'evaluating':
      return 'waiting';
    case 'executing':
    case 'awaiting-consumers':
    case 'stuck':
      return 'issuing';
    default:
      return requestState;
  }
}
