import type { Flow, FlowTest } from '../language.ts';
import { type FlowError, parseFlowTests } from '../parse.ts';
import { flowIn, invariantsName, type PolicyDocument, readPolicyDocument } from './document.ts';
import { errorFinding, type PublicationFinding, wholeFinding } from './findings.ts';

/** What somebody asks to be published, as they sent it. */
export interface Submission {
  readonly documents: readonly SubmittedDocument[];
  /** Names that are to be published no more. */
  readonly retire: readonly string[];
}

export type SubmittedDocument = SubmittedSource | StoredVersion;

/** A version that was published before: exactly what was run then, whatever its source would mean today. */
export interface StoredVersion {
  readonly file: string;
  readonly document: PolicyDocument;
}

export interface SubmittedSource {
  /** The name that findings show. */
  readonly file: string;
  readonly source: string;
  /** The name that it must have. */
  readonly expects?: string;
  /** A file of tests of this flow, which must pass too. Not stored. */
  readonly tests?: string;
}

/** A document of the submission that is not what is published already. */
export interface ChangedDocument {
  readonly file: string;
  readonly document: PolicyDocument;
  readonly replaces: PolicyDocument | undefined;
  /** Tests of the submission beside those in the document. */
  readonly tests: readonly FlowTest[];
}

export interface ReadSubmission {
  readonly findings: readonly PublicationFinding[];
  readonly changed: readonly ChangedDocument[];
  readonly retired: readonly PolicyDocument[];
  /** Names of what was sent exactly as it is published. */
  readonly unchanged: readonly string[];
}

/** Documents of one submission. */
export const documentLimit = 50;
/** UTF-8 bytes of all sources of one submission. */
export const submissionBytes = 1_000_000;

/** Reads every document against what is published; every mistake of every one is found. Pure, and never throws. */
export function readSubmission(submission: Submission, published: readonly PolicyDocument[]): ReadSubmission {
  const findings: PublicationFinding[] = [...boundFindings(submission)];
  if (findings.length > 0) return { findings, changed: [], retired: [], unchanged: [] };
  const changed: ChangedDocument[] = [];
  const unchanged: string[] = [];
  const seen = new Map<string, string>();
  for (const submitted of submission.documents) {
    const { file } = submitted;
    const read =
      'document' in submitted ? { ok: true as const, ...submitted } : readPolicyDocument(submitted.source, file);
    if (!read.ok) {
      const source = 'source' in submitted ? submitted.source : '';
      findings.push(...read.errors.map((error) => errorFinding(error, source)));
      continue;
    }
    const { document } = read;
    findings.push(...nameFindings(document, submitted, seen));
    seen.set(document.name, file);
    const furtherTests = readTests(document, file, 'source' in submitted ? submitted.tests : undefined);
    findings.push(...furtherTests.findings);
    const replaces = published.find(({ name }) => name === document.name);
    if (replaces?.digest === document.digest) unchanged.push(document.name);
    else changed.push({ file, document, replaces, tests: furtherTests.tests });
  }
  const retired: PolicyDocument[] = [];
  for (const name of new Set(submission.retire)) {
    const document = published.find((one) => one.name === name);
    if (document === undefined)
      findings.push(wholeFinding('not-published', name, `No flow ${name} is published: nothing to retire.`));
    else if (name === invariantsName)
      findings.push(wholeFinding('not-retirable', name, 'The invariants are replaced, never retired: publish others.'));
    else if (seen.has(name))
      findings.push(wholeFinding('published-and-retired', name, `${name} is published and retired at once.`));
    else retired.push(document);
  }
  return { findings, changed, retired, unchanged };
}

function boundFindings({ documents, retire }: Submission): readonly PublicationFinding[] {
  const bytesOf = (one: SubmittedDocument): number =>
    'source' in one ? Buffer.byteLength(one.source) + Buffer.byteLength(one.tests ?? '') : 0;
  const bytes = documents.reduce((sum, one) => sum + bytesOf(one), 0);
  const count = documents.length + retire.length;
  return [
    ...(count > documentLimit
      ? [
          wholeFinding(
            'too-many',
            '',
            `${count} documents at once are more than ${documentLimit}: publish them in parts.`,
          ),
        ]
      : []),
    ...(bytes > submissionBytes
      ? [wholeFinding('too-large', '', `The sources have ${bytes} bytes together, more than ${submissionBytes}.`)]
      : []),
  ];
}

function nameFindings(
  { name, operation }: PolicyDocument,
  submitted: SubmittedDocument,
  seen: ReadonlyMap<string, string>,
): readonly PublicationFinding[] {
  const { file } = submitted;
  const earlier = seen.get(name);
  const expected = 'source' in submitted ? (submitted.expects ?? name) : name;
  return [
    ...(earlier === undefined ? [] : [wholeFinding('duplicate-flow-name', file, `${name} is in ${earlier} already.`)]),
    ...(expected === name
      ? []
      : [wholeFinding('other-name', file, `The document is named ${name}, and was sent as ${expected}.`)]),
    ...(name === invariantsName && operation !== 'invariants'
      ? [
          wholeFinding(
            'reserved-name',
            file,
            `The name ${invariantsName} is that of the invariants: name the flow otherwise.`,
          ),
        ]
      : []),
  ];
}

function readTests(
  document: PolicyDocument,
  file: string,
  tests: string | undefined,
): { readonly tests: readonly FlowTest[]; readonly findings: readonly PublicationFinding[] } {
  if (tests === undefined) return { tests: [], findings: [] };
  const name = `${file} (tests)`;
  const flows: readonly Flow[] = document.operation === 'invariants' ? [] : [flowIn(document)];
  const parsed = parseFlowTests(tests, name, flows);
  if (parsed.ok) return { tests: parsed.tests, findings: [] };
  return { tests: [], findings: parsed.errors.map((error: FlowError) => errorFinding(error, tests)) };
}
