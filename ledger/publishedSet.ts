import type { DocumentOperation } from '../domain/flow/publication.ts';
import type { PolicyDocument } from '../domain/flow/publishing/document.ts';
import type { Transaction } from './client.ts';
import type { Statements } from './statements.ts';

/** What is published: the flows that rule, and the invariants that every change of them is proved against. */

const publishedSetLock = 7_305_808_869_231_003n;

/** The one lock of everything that changes what is published: seeding, publications, recovery. Held to the transaction's end. */
export async function lockPublishedSet(tx: Statements): Promise<void> {
  await tx.$queryRaw`SELECT pg_advisory_xact_lock(${publishedSetLock})::text`;
}

/** Everything that is published now, by name: one statement, so one instant. */
export async function publishedDocuments(
  ledger: Pick<Transaction, 'publishedFlow'>,
): Promise<readonly PolicyDocument[]> {
  const rows = await ledger.publishedFlow.findMany({ include: { version: true }, orderBy: { name: 'asc' } });
  return rows.map(({ version }) => documentOf(version));
}

/** A version that was published at some time; undefined when none has this digest. */
export async function findDocument(
  ledger: Pick<Transaction, 'flowVersion'>,
  digest: string,
): Promise<PolicyDocument | undefined> {
  const row = await ledger.flowVersion.findUnique({ where: { digest } });
  return row === null ? undefined : documentOf(row);
}

function documentOf(row: Omit<PolicyDocument, 'operation'> & { operation: string }): PolicyDocument {
  const { name, operation, digest, canonical, source } = row;
  return { name, operation: operation as DocumentOperation, digest, canonical, source };
}
