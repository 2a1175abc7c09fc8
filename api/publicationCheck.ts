import type { RequestKind } from '../domain/flow/language.ts';
import type { PublicationProposal } from '../domain/flow/publication.ts';
import type { PolicyDocument } from '../domain/flow/publishing/document.ts';
import type { PublicationFinding } from '../domain/flow/publishing/findings.ts';
import { type PublicationReport, proposalOf } from '../domain/flow/publishing/report.ts';
import type { Submission } from '../domain/flow/publishing/submission.ts';
import type { RecordedRequest } from '../domain/flow/recordedRequest.ts';
import { publishedDocuments } from '../ledger/publishedSet.ts';
import { recordedRequests } from '../ledger/queries/recordedRequests.ts';
import type { ApiDependencies } from './ports.ts';

/** Recorded requests that are played for each operation whose flows change, the newest. */
const playedRequests = 200;

export type PublicationCheck =
  | {
      readonly is: 'sound';
      readonly proposal: PublicationProposal;
      readonly report: PublicationReport;
      readonly documents: readonly PolicyDocument[];
      readonly unchanged: readonly string[];
      /** Published, and not in the submission. */
      readonly others: readonly string[];
    }
  /** Exactly this is published. */
  | { readonly is: 'published'; readonly unchanged: readonly string[]; readonly others: readonly string[] }
  | { readonly is: 'not-sound'; readonly findings: readonly PublicationFinding[] };

/**
 * Checks a submission against what is published now and what really happened. Writes nothing: what changes meanwhile, the
 * request to publish finds out under the lock.
 * @throws Problem `too-complex` or `too-many-requests`, as any analysis of flows
 */
export async function checkPublication(
  { ledger: { prisma }, analyst, now }: Pick<ApiDependencies, 'ledger' | 'analyst' | 'now'>,
  asked: Submission,
  { author, isRollback }: { author: string; isRollback: boolean },
): Promise<PublicationCheck> {
  const published = await publishedDocuments(prisma);
  const submission = await analyst.analyse('submission', { submission: asked, published });
  if (submission.findings.length > 0) return { is: 'not-sound', findings: submission.findings };
  const { changed, retired, unchanged } = submission;
  const named = [...unchanged, ...changed.map(({ document }) => document.name), ...retired.map(({ name }) => name)];
  const others = published.map(({ name }) => name).filter((name) => !named.includes(name));
  if (changed.length === 0 && retired.length === 0) return { is: 'published', unchanged, others };
  const records = new Map<RequestKind, readonly RecordedRequest[]>();
  for (const { document, replaces } of changed) {
    const { operation } = document;
    if (operation === 'invariants' || replaces === undefined || records.has(operation)) continue;
    const newest: RecordedRequest[] = [];
    for await (const record of recordedRequests(prisma, { kind: operation, latest: playedRequests }))
      newest.push(record);
    records.set(operation, newest);
  }
  const checked = await analyst.analyse('publication', { submission, published, records, now: now().toISOString() });
  if (!checked.ok) return { is: 'not-sound', findings: checked.findings };
  const { proposal, report } = proposalOf({ submission, published, sound: checked.sound, author, isRollback });
  return { is: 'sound', proposal, report, documents: changed.map(({ document }) => document), unchanged, others };
}
