import type { FlowDiff } from '../analysis/diff.ts';
import { diffFlows } from '../analysis/diff.ts';
import type { Invariant } from '../analysis/invariants.ts';
import { invariantChanges } from '../analysis/invariantsDiff.ts';
import { lintFlows } from '../analysis/lint.ts';
import { proveInvariants, violationInWords } from '../analysis/prove.ts';
import { TooComplex } from '../analysis/theory.ts';
import type { Flow, RequestKind } from '../language.ts';
import type { RecordedRequest } from '../recordedRequest.ts';
import { type Simulation, simulate } from '../simulate.ts';
import { runFlowTest } from '../testing.ts';
import { flowIn, invariantsIn, type PolicyDocument } from './document.ts';
import { lintFinding, type PublicationFinding, wholeFinding } from './findings.ts';
import type { ReadSubmission } from './submission.ts';

/** What a submission would mean, when nothing is wrong with it. */
export interface SoundSubmission {
  /** Of lint: nothing forbids them. */
  readonly warnings: readonly PublicationFinding[];
  readonly tests: readonly { readonly flow: string; readonly passed: number }[];
  readonly invariants: readonly { readonly id: string; readonly title: string; readonly paths: number }[];
  readonly diff: FlowDiff;
  readonly simulations: readonly { readonly flow: string; readonly simulation: Simulation }[];
}

export type CheckedSubmission =
  | { readonly ok: true; readonly sound: SoundSubmission }
  | { readonly ok: false; readonly findings: readonly PublicationFinding[] };

export interface CheckInput {
  readonly submission: ReadSubmission;
  readonly published: readonly PolicyDocument[];
  /** Recorded requests to play through what replaces a flow, by operation. */
  readonly records: ReadonlyMap<RequestKind, readonly RecordedRequest[]>;
  /** RFC 3339: by when it is judged whether exceptions have ended, or last long. */
  readonly now: string;
}

interface LintedDocument {
  readonly file: string;
  readonly source: string;
  readonly flow: Flow;
  readonly tests: Flow['tests'];
}

/** The flows before and after, as the analyses want them. */
interface Sets {
  readonly before: readonly LintedDocument[];
  readonly after: readonly LintedDocument[];
  /** Files of the submission. */
  readonly changed: readonly string[];
  /** Operations on which anything changes. */
  readonly touched: readonly RequestKind[];
  readonly invariantsBefore: readonly Invariant[];
  readonly invariantsAfter: readonly Invariant[];
}

/**
 * Checks the whole set of flows as it would be published: lint, every test of what changes, every invariant on every path.
 * All of it passes, or nothing may be published. Pure: the same input gives the same answer.
 */
export function checkSubmission({ submission, published, records, now }: CheckInput): CheckedSubmission {
  if (submission.findings.length > 0) return { ok: false, findings: submission.findings };
  const sets = setsOf(submission, published);
  try {
    const lint = lintOf(sets, now);
    const findings = [
      ...operationFindings(sets),
      ...lint.filter(({ severity }) => severity === 'error'),
      ...testFindings(sets),
      ...invariantFindings(sets),
    ];
    if (findings.length > 0) return { ok: false, findings };
    const warnings = lint.filter(({ file }) => sets.changed.includes(file));
    return { ok: true, sound: { warnings, ...soundOf(sets, submission, records) } };
  } catch (error) {
    if (!(error instanceof TooComplex)) throw error;
    return { ok: false, findings: [wholeFinding('too-complex', '', error.message)] };
  }
}

function setsOf({ changed, retired }: ReadSubmission, published: readonly PolicyDocument[]): Sets {
  const isFlow = ({ operation }: PolicyDocument): boolean => operation !== 'invariants';
  const asPublished = (document: PolicyDocument): LintedDocument => {
    const flow = flowIn(document);
    return { file: document.name, source: document.source, flow, tests: flow.tests };
  };
  const before = published.filter(isFlow).map(asPublished);
  const gone = [...retired, ...changed.flatMap(({ replaces }) => replaces ?? [])].map(({ name }) => name);
  const added = changed
    .filter(({ document }) => isFlow(document))
    .map(({ file, document, tests }): LintedDocument => {
      const flow = flowIn(document);
      return { file, source: document.source, flow, tests: [...flow.tests, ...tests] };
    });
  const after = [...before.filter(({ flow }) => !gone.includes(flow.metadata.name)), ...added];
  const replaced = before.filter(({ flow }) => gone.includes(flow.metadata.name));
  const invariantsOf = (documents: readonly PolicyDocument[]): readonly Invariant[] | undefined => {
    const document = documents.find((one) => !isFlow(one));
    return document && invariantsIn(document);
  };
  const invariantsBefore = invariantsOf(published) ?? [];
  return {
    before,
    after,
    changed: changed.map(({ file }) => file),
    touched: [...new Set([...replaced, ...added].map(({ flow }) => flow.on))],
    invariantsBefore,
    invariantsAfter: invariantsOf(changed.map(({ document }) => document)) ?? invariantsBefore,
  };
}

/** Findings that the change brings; those of unchanged flows that were there before are not of this submission. */
function lintOf({ before, after, changed, touched }: Sets, now: string): readonly PublicationFinding[] {
  const linted = (set: readonly LintedDocument[]) =>
    lintFlows(
      set.filter(({ flow }) => touched.includes(flow.on)),
      undefined,
      now,
    );
  const found = linted(after);
  const key = ({ file, rule, path, message }: (typeof found)[number]): string =>
    JSON.stringify([file, rule, path, message]);
  const isOld = found.some(({ file }) => !changed.includes(file))
    ? new Set(linted(before).map(key))
    : new Set<string>();
  const sources = new Map(after.map(({ file, source }) => [file, source]));
  return found
    .filter((finding) => changed.includes(finding.file) || !isOld.has(key(finding)))
    .map((finding) => lintFinding(finding, sources.get(finding.file)));
}

/** Without any flow on it, an operation would be denied to everybody. */
function operationFindings({ before, after }: Sets): readonly PublicationFinding[] {
  const left = [...new Set(before.map(({ flow }) => flow.on))].filter(
    (on) => !after.some(({ flow }) => flow.on === on),
  );
  return left.map((on) =>
    wholeFinding(
      'operation-without-flow',
      '',
      `No flow on ${on} would be left: every ${on} would be denied. Publish another with it.`,
    ),
  );
}

function testFindings({ after, changed }: Sets): readonly PublicationFinding[] {
  return after
    .filter(({ file }) => changed.includes(file))
    .flatMap(({ file, flow, tests }) =>
      tests.flatMap((flowTest) => {
        const result = runFlowTest(flow, flowTest);
        if (result.passed) return [];
        const words = (what: object): string => JSON.stringify(what);
        const further = [`expected ${words(result.expected)}`, `got ${words(result.got)}`, ...result.trace];
        return [wholeFinding('failing-test', file, `The test '${flowTest.name}' fails.`, further)];
      }),
    );
}

/** All of them, when they change; otherwise those on the operations whose flows do. */
function provedNow({ after, touched, invariantsBefore, invariantsAfter }: Sets) {
  const areOthers = invariantsAfter !== invariantsBefore;
  const asked = invariantsAfter.filter(({ on }) => areOthers || touched.includes(on));
  const operations = new Set(asked.map(({ on }) => on));
  return proveInvariants(
    after.filter(({ flow }) => operations.has(flow.on)).map(({ flow }) => flow),
    asked,
  );
}

function invariantFindings(sets: Sets): readonly PublicationFinding[] {
  return provedNow(sets).flatMap(({ invariant, violations }) =>
    violations.map((violation) =>
      wholeFinding('broken-invariant', '', `${invariant.id}: ${invariant.title}`, violationInWords(violation)),
    ),
  );
}

function soundOf(
  sets: Sets,
  submission: ReadSubmission,
  records: CheckInput['records'],
): Omit<SoundSubmission, 'warnings'> {
  const { before, after, changed, touched, invariantsBefore, invariantsAfter } = sets;
  const on = (set: readonly LintedDocument[]) =>
    set.filter(({ flow }) => touched.includes(flow.on)).map(({ flow }) => flow);
  const diff = diffFlows(on(before), on(after));
  const ofInvariants = invariantChanges(invariantsBefore, invariantsAfter);
  return {
    tests: after
      .filter(({ file }) => changed.includes(file))
      .map(({ flow, tests }) => ({ flow: flow.metadata.name, passed: tests.length })),
    invariants: provedNow(sets).map(({ invariant: { id, title }, paths }) => ({ id, title, paths })),
    diff: {
      ...diff,
      changes: [...diff.changes, ...ofInvariants],
      weakens: diff.weakens || ofInvariants.some(({ label }) => label === 'WEAKENS'),
    },
    simulations: submission.changed.flatMap(({ document, replaces }) => {
      if (replaces === undefined || document.operation === 'invariants' || document.operation !== replaces.operation)
        return [];
      const simulation = simulate(flowIn(replaces), flowIn(document), records.get(document.operation) ?? []);
      return [{ flow: document.name, simulation }];
    }),
  };
}
