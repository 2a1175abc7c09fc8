import { jointAuthor } from '../domain/flow/authors.ts';
import type { DocumentOperation } from '../domain/flow/publication.ts';
import { checkSubmission } from '../domain/flow/publishing/check.ts';
import type { PolicyDocument } from '../domain/flow/publishing/document.ts';
import type { PublicationFinding } from '../domain/flow/publishing/findings.ts';
import { publishedSetDigest } from '../domain/flow/publishing/publishedSet.ts';
import {
  newRecovery,
  type Recovery,
  type RecoveryKey,
  RecoveryRefused,
  type RecoveryStatement,
  recoverersOf,
  recoveryDigest,
  submissionIn,
} from '../domain/flow/publishing/recovery.ts';
import { weakeningLines } from '../domain/flow/publishing/report.ts';
import { type ReadSubmission, readSubmission, type Submission } from '../domain/flow/publishing/submission.ts';
import type { Ledger, Transaction } from './client.ts';
import { databaseClock } from './databaseClock.ts';
import { appendEvidence } from './evidence.ts';
import { findPeople } from './people.ts';
import { publishDocument, retireDocument } from './publications.ts';
import { lockPublishedSet, publishedDocuments } from './publishedSet.ts';
import { LedgerRestored, restoreInForce } from './restore.ts';

/** Recovery of the published flows by two people (docs/decisions/publications.md): neither a request, nor a flow, decides it. */

/** What a publication of the same would be refused for. */
interface NotSound {
  readonly is: 'not-sound';
  readonly findings: readonly PublicationFinding[];
}

/** Exactly this rules already. */
interface Published {
  readonly is: 'published';
}

export type PreparedRecovery = { readonly is: 'prepared'; readonly recovery: Recovery } | NotSound | Published;

export type FlowsRecovered =
  | {
      readonly is: 'recovered';
      readonly people: readonly string[];
      readonly statement: string;
      /** Names. */
      readonly published: readonly string[];
      readonly retired: readonly string[];
    }
  | NotSound
  | Published;

/**
 * The statement for two people to sign: what would be published in the place of what is published now. Writes nothing.
 * @param retireOthers also what is published and not sent
 */
export async function prepareRecovery(
  ledger: Ledger,
  { documents, reason, retireOthers }: { documents: Submission['documents']; reason: string; retireOthers: boolean },
): Promise<PreparedRecovery> {
  const { published, newest, now } = await ledger.prisma.$transaction(async (tx) => {
    await lockPublishedSet(tx);
    return {
      published: await publishedDocuments(tx),
      newest: await newestPublication(tx),
      now: await databaseClock(tx),
    };
  });
  const sent = readSubmission({ documents, retire: [] }, published);
  const names = [...sent.unchanged, ...sent.changed.map(({ document }) => document.name)];
  const retire = retireOthers ? published.map(({ name }) => name).filter((name) => !names.includes(name)) : [];
  const asked = { documents, retire };
  const submission = readSubmission(asked, published);
  if (submission.findings.length === 0 && submission.changed.length + submission.retired.length === 0)
    return { is: 'published' };
  const checked = checkedFor(submission, published, now);
  if (checked.is === 'not-sound') return checked;
  const statement = {
    installation: ledger.evidence.origin,
    published: { digest: publishedSetDigest(published), newest },
    documents: submission.changed.map(({ file, document, replaces }) => {
      const tests = documents.flatMap((one) => (one.file === file && 'tests' in one ? (one.tests ?? []) : []));
      const { name, digest, source } = document;
      const text = { name, file, digest, replaces: replaces?.digest ?? null, source };
      return tests[0] === undefined ? text : { ...text, tests: tests[0] };
    }),
    retired: submission.retired.map(({ name, digest }) => ({ name, digest })),
    weakening: [...checked.weakening],
    reason,
  };
  return { is: 'prepared', recovery: newRecovery(statement, now) };
}

/**
 * Effect: what two people signed is published, in one transaction with its evidence. Idempotent: what rules already is said
 * to, and nothing is written. A statement is of one moment of the published set, so none is ever applied twice.
 * @throws RecoveryRefused saying what is wrong and what to do; LedgerRestored while the ledger is observe-only
 */
export async function recoverFlows(
  ledger: Ledger,
  recovery: Recovery,
  keys: readonly RecoveryKey[],
): Promise<FlowsRecovered> {
  const { statement } = recovery;
  const people = recoverersOf(recovery, keys);
  const { origin } = ledger.evidence;
  if (statement.installation !== origin)
    throw new RecoveryRefused(
      `It was prepared for ${statement.installation}, and this is ${origin}. Apply it there, or prepare one here.`,
    );
  const due = await ledger.prisma.$transaction((tx) => lockedDue(tx, statement, people));
  if (due === 'published') return { is: 'published' };
  const submission = readSubmission(submissionIn(statement), due.published);
  const checked = checkedFor(submission, due.published, due.now);
  if (checked.is === 'not-sound') return checked;
  requireAsShown(statement, submission, checked.weakening);

  // Proofs may take longer than a transaction: the lock is taken again, and the set is still the one that was checked.
  return ledger.prisma.$transaction(async (tx) => {
    const still = await lockedDue(tx, statement, people);
    if (still === 'published') return { is: 'published' };
    const at = still.now;
    const by = { requestId: null, publishedBy: jointAuthor(people), at };
    const items: { name: string; on: DocumentOperation; digest: string | null; replaces: string | null }[] = [];
    for (const { document, replaces: before } of submission.changed) {
      const { name, operation: on, digest } = document;
      const replaces = before?.digest ?? null;
      await publishDocument(tx, document, replaces, by);
      items.push({ name, on, digest, replaces });
    }
    for (const { name, operation: on, digest: replaces } of submission.retired) {
      await retireDocument(tx, { name, operation: on, replaces }, by);
      items.push({ name, on, digest: null, replaces });
    }
    const digest = recoveryDigest(statement);
    const { reason, weakening, published: from } = statement;
    const data = {
      people,
      reason,
      statement: digest,
      signatures: recovery.signatures.map((signature) => ({ ...signature })),
      publishedSet: from.digest,
      weakens: weakening.length,
      items,
    };
    await appendEvidence(tx, ledger.evidence, [
      { chain: 'installation', kind: 'flow.recovered', actor: 'system:recovery', at, data },
    ]);
    return {
      is: 'recovered',
      people,
      statement: digest,
      published: submission.changed.map(({ document }) => document.name),
      retired: submission.retired.map(({ name }) => name),
    };
  });
}

/** As a publication is checked, but for what recorded requests would have become: that nobody is bound to. */
function checkedFor(
  submission: ReadSubmission,
  published: readonly PolicyDocument[],
  now: Date,
): NotSound | { readonly is: 'sound'; readonly weakening: readonly string[] } {
  const checked = checkSubmission({ submission, published, records: new Map(), now: now.toISOString() });
  if (!checked.ok) return { is: 'not-sound', findings: checked.findings };
  return { is: 'sound', weakening: weakeningLines(checked.sound) };
}

function isPublished({ documents, retired }: RecoveryStatement, published: readonly PolicyDocument[]): boolean {
  const digests = new Map(published.map(({ name, digest }) => [name, digest]));
  return (
    documents.every(({ name, digest }) => digests.get(name) === digest) &&
    !retired.some(({ name }) => digests.has(name))
  );
}

/**
 * What is published, and the database's clock, when it may be applied now. The lock of the published set is held to the
 * transaction's end.
 * @throws RecoveryRefused, LedgerRestored
 */
async function lockedDue(
  tx: Transaction,
  statement: RecoveryStatement,
  people: readonly string[],
): Promise<{ readonly published: readonly PolicyDocument[]; readonly now: Date } | 'published'> {
  await lockPublishedSet(tx);
  const published = await publishedDocuments(tx);
  if (isPublished(statement, published)) return 'published';
  if ((await restoreInForce(tx)) !== undefined) throw new LedgerRestored('the recovery of flows');
  const { published: stated, createdAt, endsAt } = statement;
  const now = await databaseClock(tx);
  if (now.getTime() >= Date.parse(endsAt) || now.getTime() < Date.parse(createdAt))
    throw new RecoveryRefused(
      `It may be applied from ${createdAt} until ${endsAt}, and it is ${now.toISOString()}. Prepare it anew, and let both sign.`,
    );
  const signers = await findPeople(tx, people);
  const left = signers.filter(({ active }) => !active);
  if (left.length > 0)
    throw new RecoveryRefused(
      `${left.map(({ as }) => as).join(' and ')} signed it and is no active person. Let another one of recovery.keys sign.`,
    );
  const distinct = new Set(people.map((address) => signers.find(({ as }) => as === address)?.id ?? address));
  if (distinct.size < people.length)
    throw new RecoveryRefused(
      `${people.join(' and ')} signed it and are one person in the directory. Let another one of recovery.keys sign.`,
    );
  if (publishedSetDigest(published) !== stated.digest || (await newestPublication(tx)) !== stated.newest)
    throw new RecoveryRefused(
      'Other flows were published since it was prepared, so what was signed says nothing of these. Prepare it anew, and let both sign.',
    );
  return { published, now };
}

/** What was signed says what is changed and what that weakens: whoever prepared it could have written anything. */
function requireAsShown(
  { documents, retired, weakening: shown }: RecoveryStatement,
  submission: ReadSubmission,
  weakening: readonly string[],
): void {
  const inOrder = (items: readonly (readonly (string | null)[])[]): string =>
    JSON.stringify(items.map((item) => JSON.stringify(item)).sort());
  const said = [
    ...documents.map(({ name, digest, replaces }) => [name, digest, replaces]),
    ...retired.map(({ name, digest }) => [name, null, digest]),
    ...shown.map((line) => [line]),
  ];
  const so = [
    ...submission.changed.map(({ document, replaces }) => [document.name, document.digest, replaces?.digest ?? null]),
    ...submission.retired.map(({ name, digest }) => [name, null, digest]),
    ...weakening.map((line) => [line]),
  ];
  if (inOrder(said) === inOrder(so)) return;
  throw new RecoveryRefused(
    'What was signed is not what it would change and weaken: it was prepared by another release, or made up. Prepare it anew on this machine, and let both sign.',
  );
}

/** The number of the newest line of the history: it only ever grows. */
async function newestPublication(tx: Pick<Transaction, 'flowPublication'>): Promise<string> {
  const { _max: newest } = await tx.flowPublication.aggregate({ _max: { id: true } });
  return String(newest.id ?? 0n);
}
