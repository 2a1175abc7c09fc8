import { canonicalJson } from '../domain/evidence/canonicalJson.ts';
import type { Change } from '../domain/flow/changes.ts';
import type { DocumentOperation, PublicationProposal } from '../domain/flow/publication.ts';
import type { PolicyDocument } from '../domain/flow/publishing/document.ts';
import { publicationDigest, publishedSetDigest, sha256 } from '../domain/flow/publishing/publishedSet.ts';
import type { PublicationReport } from '../domain/flow/publishing/report.ts';
import type { Prisma } from '../prisma/generated/client.ts';
import type { Transaction } from './client.ts';
import { lockPublishedSet } from './publishedSet.ts';
import { insertNewRow, insertRow } from './rows.ts';
import type { Statements } from './statements.ts';

/** Publications as they are stored before anybody decides, and what becomes of them when they take effect. */

export interface NewPublication {
  readonly proposal: PublicationProposal;
  readonly documents: readonly PolicyDocument[];
  readonly report: object;
}

/**
 * Effect: stores what is to be published, named by its digest; nothing of it is in force. Idempotent: the same content is
 * stored once, whoever asks.
 */
export async function storePublication(
  ledger: Pick<Transaction, 'publication'>,
  { proposal: { digest, ...proposal }, documents, report }: NewPublication,
): Promise<void> {
  await ledger.publication.createMany({
    data: [
      {
        digest,
        proposal: json(proposal),
        documents: json(documents),
        report: json(report),
        createdBy: proposal.author,
      },
    ],
    skipDuplicates: true,
  });
}

/**
 * What a publication would change; undefined when the ledger holds none of this digest.
 * @throws PublicationDamaged when what is stored is not what the digest was made of: approvers saw something else
 */
export async function findProposal(tx: Statements, digest: string): Promise<PublicationProposal | undefined> {
  const [row] = await tx.$queryRaw<{ proposal: Prisma.JsonValue }[]>`
    SELECT "proposal" FROM "publication" WHERE "digest" = ${digest}`;
  return row === undefined ? undefined : proposalIn(digest, row.proposal);
}

/** @throws PublicationDamaged */
export function proposalIn(digest: string, stored: Prisma.JsonValue): PublicationProposal {
  const proposal = stored as unknown as Omit<PublicationProposal, 'digest'>;
  if (publicationDigest(proposal) !== digest) throw new PublicationDamaged(digest);
  return { digest, ...proposal };
}

/**
 * The report of a publication's check, whole, and the documents that it would publish; undefined when there is none.
 * @throws PublicationDamaged when one of them is not what decisions are bound to
 */
export async function findPublication(
  tx: Statements,
  digest: string,
): Promise<{ readonly report: PublicationReport; readonly documents: readonly PolicyDocument[] } | undefined> {
  const [row] = await tx.$queryRaw<{ proposal: Prisma.JsonValue; documents: unknown; report: unknown }[]>`
    SELECT "proposal", "documents", "report" FROM "publication" WHERE "digest" = ${digest}`;
  if (row === undefined) return undefined;
  const documents = row.documents as readonly PolicyDocument[];
  const report = row.report as PublicationReport;
  const isWhole = proposalIn(digest, row.proposal).report === reportDigest(report);
  const isBound = ({ name, digest: of, canonical, source }: PolicyDocument): boolean =>
    sha256(canonical) === of &&
    report.documents.some((told) => told.name === name && told.digest === of && told.sourceDigest === sha256(source));
  if (!isWhole || !documents.every(isBound)) throw new PublicationDamaged(digest);
  return { report, documents };
}

/** SHA-256 (hex) of the RFC 8785 form of a report. */
export function reportDigest(report: unknown): string {
  return sha256(canonicalJson(JSON.parse(JSON.stringify(report))));
}

/**
 * The digest of everything that is published, read under the lock that every change of it takes.
 * Call it before the row locks, in a transaction that goes on to publish or to compare.
 */
export async function lockedSetDigest(tx: Statements): Promise<string> {
  await lockPublishedSet(tx);
  const published = await tx.$queryRaw<{ name: string; operation: DocumentOperation; digest: string }[]>`
    SELECT "name", "operation", "digest" FROM "published_flow"`;
  return publishedSetDigest(published);
}

/** Whether everything that these items publish was published before. */
export async function wasPublished(tx: Statements, items: PublicationProposal['items']): Promise<boolean> {
  for (const { name, digest } of items) {
    const earlier = await tx.$queryRaw<unknown[]>`
      SELECT FROM "flow_publication" WHERE "name" = ${name} AND "digest" = ${digest} LIMIT 1`;
    if (earlier.length === 0) return false;
  }
  return true;
}

type Publish = Extract<Change, { change: 'publish-flow' | 'retire-flow' }>;

/**
 * Effect: one document is published or retired, with its line of history. Part of the transaction of `advance`, under the
 * lock of the published set.
 * @throws PublicationDamaged when the stored content is not of the digest that was decided on
 */
export async function publish(
  tx: Statements,
  { requestId, now }: { requestId: string; now: Date },
  change: Publish,
): Promise<void> {
  const [request] = await tx.$queryRaw<{ publishedBy: string; publicationDigest: string | null }[]>`
    SELECT coalesce("onBehalfOf", "requesterId") AS "publishedBy", "publicationDigest" FROM "request" WHERE "id" = ${requestId}`;
  if (request === undefined) throw new PublicationDamaged(requestId);
  const { publishedBy } = request;
  const by = { requestId, publishedBy, at: now };
  if (change.change === 'retire-flow') return retireDocument(tx, change, by);
  const publication = await findPublication(tx, request.publicationDigest ?? '');
  const stored = publication?.documents.find(({ name, digest }) => name === change.name && digest === change.digest);
  if (stored === undefined || stored.name !== change.name || stored.operation !== change.operation)
    throw new PublicationDamaged(request.publicationDigest ?? requestId);
  await publishDocument(tx, stored, change.replaces, by);
}

/** Who published it, by which request, when. */
export interface PublishedBy {
  /** Null: seeded, or recovered offline. */
  readonly requestId: string | null;
  readonly publishedBy: string;
  readonly at: Date;
}

/**
 * Effect: this version rules from the commit on. What was published before of the name must be `replaces`.
 * @throws PublicationDamaged for content of another digest, or when something else is published
 */
export async function publishDocument(
  tx: Statements,
  { name, operation, digest, canonical, source }: PolicyDocument,
  replaces: string | null,
  { requestId, publishedBy, at }: PublishedBy,
): Promise<void> {
  if (sha256(canonical) !== digest) throw new PublicationDamaged(digest);
  // Its author is who published it first: going back to it is not writing it.
  await insertNewRow(tx, 'flow_version', { digest, name, operation, canonical, source, author: publishedBy });
  const isPublished =
    replaces === null
      ? await insertNewRow(tx, 'published_flow', { name, operation, digest, publishedAt: at })
      : (await tx.$executeRaw`
          UPDATE "published_flow" SET "operation" = ${operation}, "digest" = ${digest}, "publishedAt" = ${at}
          WHERE "name" = ${name} AND "digest" = ${replaces}`) === 1;
  if (!isPublished) throw new PublicationDamaged(digest);
  await insertRow(tx, 'flow_publication', { name, operation, digest, requestId, publishedBy, publishedAt: at });
}

/** Effect: no version of this name rules from the commit on. @throws PublicationDamaged when another than `replaces` is published */
export async function retireDocument(
  tx: Statements,
  { name, operation, replaces }: Omit<Extract<Publish, { change: 'retire-flow' }>, 'change'>,
  { requestId, publishedBy, at }: PublishedBy,
): Promise<void> {
  const count = await tx.$executeRaw`DELETE FROM "published_flow" WHERE "name" = ${name} AND "digest" = ${replaces}`;
  if (count !== 1) throw new PublicationDamaged(replaces);
  await insertRow(tx, 'flow_publication', { name, operation, requestId, publishedBy, publishedAt: at });
}

function json(value: object): Prisma.InputJsonObject {
  return JSON.parse(JSON.stringify(value)) as Prisma.InputJsonObject;
}

/** What is stored of a publication is not what its digest was made of. Nothing of it is published. Not retryable. */
export class PublicationDamaged extends Error {
  override readonly name = 'PublicationDamaged';
  constructor(digest: string) {
    super(
      `What the ledger holds for ${digest} is not what has that digest, or not what it would replace: somebody changed it past Tenure. Nothing was published. Verify the evidence, then ask for the publication anew.`,
    );
  }
}
