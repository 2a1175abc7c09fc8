import type { DocumentOperation } from '../../domain/flow/publication.ts';
import type { Transaction } from '../client.ts';

/** One line of the history of a name. */
export interface FlowHistoryEntry {
  readonly id: bigint;
  /** Null: the name was retired. */
  readonly digest: string | null;
  readonly operation: DocumentOperation;
  readonly isPublished: boolean;
  readonly publishedBy: string;
  readonly publishedAt: Date;
  /** Null: seeded, or recovered offline. */
  readonly requestId: string | null;
}

type Tables = Pick<Transaction, 'flowPublication' | 'publishedFlow'>;

/**
 * What was published under this name, newest first.
 * @param before an entry's id: only older ones
 */
export async function flowHistory(
  ledger: Tables,
  name: string,
  { limit, before }: { limit: number; before?: bigint },
): Promise<readonly FlowHistoryEntry[]> {
  const rows = await ledger.flowPublication.findMany({
    where: { name, ...(before === undefined ? {} : { id: { lt: before } }) },
    orderBy: { id: 'desc' },
    take: limit,
  });
  const published = await ledger.publishedFlow.findUnique({ where: { name }, select: { digest: true } });
  const [newest] = before === undefined ? rows : [];
  return rows.map(({ id, digest, operation, publishedBy, publishedAt, requestId }) => ({
    id,
    digest,
    operation: operation as DocumentOperation,
    isPublished: id === newest?.id && digest !== null && digest === published?.digest,
    publishedBy,
    publishedAt,
    requestId,
  }));
}

/** Whether this version ruled under this name at some time. */
export async function publishedUnder(ledger: Tables, name: string, digest: string): Promise<boolean> {
  return (await ledger.flowPublication.findFirst({ where: { name, digest }, select: { id: true } })) !== null;
}

/**
 * The digest that a rollback of this name goes back to: the last one that was published before the present one; undefined
 * when there was no other.
 */
export async function previousDigest(ledger: Tables, name: string): Promise<string | undefined> {
  const published = await ledger.publishedFlow.findUnique({ where: { name }, select: { digest: true } });
  const earlier = await ledger.flowPublication.findFirst({
    where: { name, digest: published === null ? { not: null } : { not: published.digest } },
    orderBy: { id: 'desc' },
    select: { digest: true },
  });
  return earlier?.digest ?? undefined;
}
