import { readFileSync } from 'node:fs';
import type { OpenResult, PublicationOrder } from '../../contracts/open.ts';
import { checkSubmission } from '../../domain/flow/publishing/check.ts';
import { proposalOf } from '../../domain/flow/publishing/report.ts';
import { readSubmission, type Submission } from '../../domain/flow/publishing/submission.ts';
import { storePublication } from '../../ledger/publications.ts';
import { publishedDocuments } from '../../ledger/publishedSet.ts';
import type { TestInstallation } from './installation.ts';
import { openOrder } from './orders.ts';
import { repeated } from './repeated.ts';

const shipped = (name: string) => readFileSync(new URL(`../../flows/${name}.flow.yaml`, import.meta.url), 'utf8');

/** The flows that are shipped for publications, for tests whose other flows are plain. */
export const publicationFlows: readonly string[] = [shipped('publication-default'), shipped('publication-rollback')];

/** A flow of one effect, on an operation that plain flows have none of; each revision is another version. */
export function plainFlow(name: string, revision = 1, on: 'onboarding' | 'rotation' = 'rotation'): string {
  return `apiVersion: tenure/v1
kind: Flow
metadata: {name: ${name}, owner: security, description: revision ${revision}}
on: ${on}
subject: {kind: certificate, where: 'subject.environment == "${name}"'}
stages:
  - {id: effect, effect: ${on === 'rotation' ? 'rotate' : 'issue'}}
`;
}

/**
 * Checks and stores what is to be published, as the API does.
 * @returns the order for the request, under a key of its own
 */
export async function publicationOrder(
  { ledger }: Pick<TestInstallation, 'ledger'>,
  {
    sources = [],
    retire = [],
    isRollback = false,
    author = 'flow-author@tenure.example',
  }: { sources?: readonly string[]; retire?: readonly string[]; isRollback?: boolean; author?: string },
  change: Partial<PublicationOrder> = {},
): Promise<PublicationOrder> {
  const published = await publishedDocuments(ledger.prisma);
  const asked: Submission = { documents: sources.map((source, at) => ({ file: `flows[${at}]`, source })), retire };
  const submission = readSubmission(asked, published);
  const checked = checkSubmission({ submission, published, records: new Map(), now: new Date().toISOString() });
  if (!checked.ok) throw new Error(checked.findings.map(({ shown }) => shown).join('\n'));
  const { proposal, report } = proposalOf({ submission, published, sound: checked.sound, author, isRollback });
  const documents = submission.changed.map(({ document }) => document);
  await storePublication(ledger.prisma, { proposal, documents, report });
  const { identityId: _none, ...asking } = openOrder('review', { principal: author });
  return { ...asking, kind: 'publication', publication: proposal.digest, ...change };
}

/** Asks for it through the workflow, and insists that the request was opened. */
export async function openedPublication(
  installation: TestInstallation,
  order: PublicationOrder,
): Promise<Extract<OpenResult, { opened: true }>> {
  const result = await repeated(() => installation.gateway.open(order), 3);
  if (!result.opened) throw new Error(`${result.slug}: ${result.detail}`);
  return result;
}
