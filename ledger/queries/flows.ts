import type { Flow, RequestKind } from '../../domain/flow/language.ts';
import type { Transaction } from '../client.ts';
import { flowVersion } from '../flows.ts';

/** A stored version of a flow. Versions never change; which of them is published does. */
export interface StoredFlow {
  readonly flow: Flow;
  readonly digest: string;
  /** Who wrote it, for `separation: [flowAuthor]`. */
  readonly author: string;
  readonly storedAt: Date;
  /** Since when it rules; null when another version does, or none. */
  readonly publishedAt: Date | null;
}

/** The invariants are published beside the flows, and are none. */
const isFlow = { not: 'invariants' } as const;

const version = { select: { author: true, createdAt: true } } as const;

/** The published flows in the order of their names, those after `after`, at most `limit`. */
export async function listPublishedFlows(
  ledger: Transaction,
  { on, after, limit }: { readonly on?: RequestKind | undefined; readonly after: string; readonly limit: number },
): Promise<{ readonly items: readonly StoredFlow[]; readonly next: string | undefined }> {
  const rows = await ledger.publishedFlow.findMany({
    where: { name: { gt: after }, operation: on ?? isFlow },
    include: { version },
    orderBy: { name: 'asc' },
    take: limit + 1,
  });
  const items = await Promise.all(
    rows.slice(0, limit).map(async ({ digest, publishedAt, version: { author, createdAt } }) => {
      const { flow } = await flowVersion(ledger, digest);
      return { flow, digest, author, storedAt: createdAt, publishedAt };
    }),
  );
  return { items, next: rows.length > limit ? rows[limit - 1]?.name : undefined };
}

/** What rules now: every published flow. */
export async function publishedFlows(ledger: Transaction): Promise<readonly Flow[]> {
  const rows = await ledger.publishedFlow.findMany({
    where: { operation: isFlow },
    select: { digest: true },
    orderBy: { name: 'asc' },
  });
  return Promise.all(rows.map(async ({ digest }) => (await flowVersion(ledger, digest)).flow));
}

/** The published version of the flow of this name, or the stored one of this digest; undefined when there is none. */
export async function findFlow(
  ledger: Transaction,
  asked: { readonly name: string; readonly digest?: string | undefined } | { readonly digest: string },
): Promise<(StoredFlow & { readonly source: string }) | undefined> {
  const name = 'name' in asked ? asked.name : undefined;
  const digest = asked.digest ?? (await digestPublishedAs(ledger, name));
  if (digest === undefined) return undefined;
  const row = await ledger.flowVersion.findUnique({
    where: { digest, operation: isFlow, ...(name === undefined ? {} : { name }) },
    include: { published: { select: { publishedAt: true } } },
  });
  if (row === null) return undefined;
  const { flow } = await flowVersion(ledger, digest);
  const publishedAt = row.published[0]?.publishedAt ?? null;
  return { flow, digest, author: row.author, storedAt: row.createdAt, publishedAt, source: row.source };
}

async function digestPublishedAs(ledger: Transaction, name: string | undefined): Promise<string | undefined> {
  if (name === undefined) return undefined;
  return (await ledger.publishedFlow.findUnique({ where: { name }, select: { digest: true } }))?.digest;
}
