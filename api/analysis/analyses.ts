import { type DiffReport, diffFlows, diffReport } from '../../domain/flow/analysis/diff.ts';
import { pathPicture } from '../../domain/flow/analysis/pathPicture.ts';
import { type PathReport, pathReport } from '../../domain/flow/analysis/pathReport.ts';
import { pathsGovernedBy } from '../../domain/flow/analysis/paths.ts';
import { TooComplex } from '../../domain/flow/analysis/theory.ts';
import { formatFlowError } from '../../domain/flow/explain.ts';
import type { Flow } from '../../domain/flow/language.ts';
import { type FlowError, parseFlow } from '../../domain/flow/parse.ts';
import { type CheckedSubmission, type CheckInput, checkSubmission } from '../../domain/flow/publishing/check.ts';
import type { PolicyDocument } from '../../domain/flow/publishing/document.ts';
import { type ReadSubmission, readSubmission, type Submission } from '../../domain/flow/publishing/submission.ts';
import type { RecordedRequest } from '../../domain/flow/recordedRequest.ts';
import { type Simulation, simulate } from '../../domain/flow/simulate.ts';

/** What may take long: carried out beside the thread that answers calls. What is asked and found is plain data. */
export interface Analyses {
  /** Reads a flow; `file` is what its mistakes call it. */
  read: { asked: { source: string; file: string }; found: { flow: Flow; digest: string } };
  /** The paths of the requests that `flow` governs beside the others. */
  paths: { asked: Governing; found: readonly PathReport[] };
  /** The same as SVG. */
  picture: { asked: Governing; found: string };
  /** Flows that govern together, and what is to replace them. */
  diff: { asked: { before: readonly Flow[]; after: readonly Flow[] }; found: DiffReport };
  /** Reads everything that is to be published; findings are part of the answer. */
  submission: { asked: { submission: Submission; published: readonly PolicyDocument[] }; found: ReadSubmission };
  /** Checks all of it together. */
  publication: { asked: CheckInput; found: CheckedSubmission };
  simulation: { asked: { before: Flow; after: Flow; records: readonly RecordedRequest[] }; found: Simulation };
}

interface Governing {
  readonly flow: Flow;
  readonly others: readonly Flow[];
}

/** A mistake of a flow, and the same in words with its line and a caret. */
export interface FlowMistake extends FlowError {
  readonly text: string;
}

export type Outcome<Found> =
  | { readonly found: Found }
  | { readonly mistakes: readonly FlowMistake[] }
  | { readonly tooComplex: string };

/** Carries one out. What its input brings about is an outcome; whatever is thrown is a defect. */
export function carryOut<A extends keyof Analyses>(
  analysis: A,
  asked: Analyses[A]['asked'],
): Outcome<Analyses[A]['found']> {
  try {
    return analyses[analysis](asked);
  } catch (error) {
    if (error instanceof TooComplex) return { tooComplex: error.message };
    throw error;
  }
}

const analyses: { readonly [A in keyof Analyses]: (asked: Analyses[A]['asked']) => Outcome<Analyses[A]['found']> } = {
  read: ({ source, file }) => {
    const parsed = parseFlow(source, file);
    if (!parsed.ok)
      return { mistakes: parsed.errors.map((error) => ({ ...error, text: formatFlowError(error, source) })) };
    return { found: { flow: parsed.flow, digest: parsed.digest } };
  },
  paths: (asked) => ({ found: pathsOf(asked).map(pathReport) }),
  picture: (asked) => ({ found: pathPicture(pathsOf(asked)) }),
  diff: ({ before, after }) => ({ found: diffReport(diffFlows(before, after)) }),
  submission: ({ submission, published }) => ({ found: readSubmission(submission, published) }),
  publication: (asked) => ({ found: checkSubmission(asked) }),
  simulation: ({ before, after, records }) => ({ found: simulate(before, after, records) }),
};

const pathsOf = ({ flow, others }: Governing) => pathsGovernedBy(flow, [flow, ...others]);
