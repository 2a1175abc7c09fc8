import { canonicalJson } from '../../evidence/canonicalJson.ts';
import type { Change } from '../analysis/change.ts';
import type { PathChange } from '../analysis/pathDiff.ts';
import { type PublicationProposal, shownWeakenings } from '../publication.ts';
import type { ChangedRequest } from '../simulate.ts';
import type { SoundSubmission } from './check.ts';
import type { PolicyDocument } from './document.ts';
import type { PublicationFinding } from './findings.ts';
import { publicationDigest, publishedSetDigest, sha256 } from './publishedSet.ts';
import type { ReadSubmission } from './submission.ts';

/** The report of a check: what approvers read, and what their decisions are bound to by its digest. Plain JSON. */
export interface PublicationReport {
  /** What would be published, as it is run and as it was written: SHA-256 (hex) of both. */
  readonly documents: readonly { readonly name: string; readonly digest: string; readonly sourceDigest: string }[];
  readonly warnings: readonly PublicationFinding[];
  readonly tests: SoundSubmission['tests'];
  readonly invariants: SoundSubmission['invariants'];
  /** What weakens comes first; `pathsLeftOut` more are not told. */
  readonly changes: readonly Omit<Change, 'isOfPaths'>[];
  readonly paths: readonly PathChange[];
  readonly pathsLeftOut: number;
  readonly simulations: readonly SimulationReport[];
}

export interface SimulationReport {
  readonly flow: string;
  readonly played: number;
  /** How many would be decided otherwise; the first of them. */
  readonly changed: number;
  readonly examples: readonly ChangedRequest[];
}

const shownPaths = 500;
const shownRequests = 50;

/** Puts together what is bound: the items, what they were checked against, and what the check found. Pure. */
export function proposalOf({
  submission,
  published,
  sound,
  author,
  isRollback,
}: {
  submission: ReadSubmission;
  published: readonly PolicyDocument[];
  sound: SoundSubmission;
  author: string;
  isRollback: boolean;
}): { readonly proposal: PublicationProposal; readonly report: PublicationReport } {
  const documents = submission.changed.map(({ document: { name, digest, source } }) => ({
    name,
    digest,
    sourceDigest: sha256(source),
  }));
  const report = { documents, ...reportOf(sound) };
  const lines = weakeningLines(sound);
  const content = {
    author,
    items: [
      ...submission.changed.map(({ document: { name, operation, digest }, replaces }) => ({
        name,
        operation,
        digest,
        replaces: replaces?.digest ?? null,
      })),
      ...submission.retired.map(({ name, operation, digest }) => ({ name, operation, digest: null, replaces: digest })),
    ].sort((one, other) => (one.name < other.name ? -1 : 1)),
    publishedSet: publishedSetDigest(published),
    report: sha256(canonicalJson(JSON.parse(JSON.stringify(report)))),
    isRollback,
    weakens: lines.length,
    weakening: lines.slice(0, shownWeakenings),
    strengthens: [...sound.diff.changes, ...sound.diff.paths].filter(({ label }) => label === 'STRENGTHENS').length,
    changesDecisions: report.simulations.reduce((sum, { changed }) => sum + changed, 0),
  };
  return { proposal: { digest: publicationDigest(content), ...content }, report };
}

function reportOf({
  warnings,
  tests,
  invariants,
  diff,
  simulations,
}: SoundSubmission): Omit<PublicationReport, 'documents'> {
  const order = { WEAKENS: 0, STRENGTHENS: 1, NEUTRAL: 2 } as const;
  return {
    warnings,
    tests,
    invariants,
    changes: diff.changes
      .map(({ isOfPaths: _isOfPaths, ...change }) => change)
      .sort((one, other) => order[one.label] - order[other.label]),
    paths: diff.paths.slice(0, shownPaths),
    pathsLeftOut: Math.max(0, diff.paths.length - shownPaths),
    simulations: simulations.map(({ flow, simulation: { played, changed } }) => ({
      flow,
      played,
      changed: changed.length,
      examples: changed.slice(0, shownRequests),
    })),
  };
}

/** Each change that lets more through, in one line. */
export function weakeningLines({ diff }: SoundSubmission): readonly string[] {
  return [
    ...diff.changes
      .filter(({ label }) => label === 'WEAKENS')
      .map(
        ({ flow, path, was, is, because }) => `${flow}${path === '' ? '' : `: ${path}`}: ${was} → ${is}: ${because}`,
      ),
    ...diff.paths
      .filter(({ label }) => label === 'WEAKENS')
      .map(({ on, because, was, is, conditions }) => {
        const when = conditions.length === 0 ? '' : ` if ${conditions.join(' and ')}`;
        return `${on}: ${because}: was ${was}, is ${is}${when}`;
      }),
  ];
}
