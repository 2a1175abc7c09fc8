import { pathConditions } from './conditions.ts';
import type { FlowPath, PathEnd, StepOutcome } from './path.ts';
import { stepWords } from './pathWords.ts';

/** A path for programs: words for people, outcomes and reasons as kebab-case words; plain JSON. */
export interface PathReport {
  /** From 1, in the order of the paths. */
  readonly number: number;
  readonly on: FlowPath['on'];
  /** The name of the flow that governs; left out where none does. */
  readonly flow?: string;
  /** All of them are true. */
  readonly conditions: readonly string[];
  readonly steps: readonly {
    readonly stage: string;
    readonly outcome: StepOutcome['is'];
    readonly escalated?: boolean;
    /** Of a waived stage: the ids of the exceptions, each of which may waive it. */
    readonly exceptions?: readonly string[];
    readonly words: string;
  }[];
  readonly end: PathEnd;
  readonly askedAgain: readonly string[];
}

/** @throws TooComplex when what the conditions say cannot be told apart */
export function pathReport(path: FlowPath, index: number): PathReport {
  return {
    number: index + 1,
    on: path.on,
    ...(path.flow && { flow: path.flow.metadata.name }),
    conditions: pathConditions(path),
    steps: path.steps.map((step) => ({
      stage: step.stage.id,
      outcome: step.outcome.is,
      ...('escalated' in step.outcome && { escalated: step.outcome.escalated }),
      ...('by' in step.outcome && { exceptions: step.outcome.by.map(({ id }) => id) }),
      words: stepWords(step),
    })),
    end: path.end,
    askedAgain: path.askedAgain,
  };
}
