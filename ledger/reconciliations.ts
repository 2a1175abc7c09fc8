import { randomBytes } from 'node:crypto';
import { idFromBytes } from '../domain/ids.ts';
import type { Reconciliation } from '../prisma/generated/client.ts';
import type { Ledger, Transaction } from './client.ts';
import { appendEvidence, type EvidenceDraft } from './evidence.ts';

/** What is compared with the ledger: an issuer or a store of tenure.yaml. */
export interface Part {
  readonly part: 'issuer' | 'store';
  readonly name: string;
}

export type ReconciliationRun = Reconciliation & Part;

/** A part as the subject of due work: `issuer/main-db`. */
export function partId({ part, name }: Part): string {
  return `${part}/${name}`;
}

/** @throws TypeError when the text is no part's id: nothing else writes such rows */
export function partOf(id: string): Part {
  const [part, ...rest] = id.split('/');
  if ((part !== 'issuer' && part !== 'store') || rest.length === 0)
    throw new TypeError(`"${id}" names no issuer or store.`);
  return { part, name: rest.join('/') };
}

/** Every issuer and store that tenure.yaml declares. */
export function partsOf({
  issuers,
  stores,
}: {
  readonly issuers: Readonly<Record<string, unknown>>;
  readonly stores: Readonly<Record<string, unknown>>;
}): readonly Part[] {
  return [
    ...Object.keys(issuers).map((name) => ({ part: 'issuer' as const, name })),
    ...Object.keys(stores).map((name) => ({ part: 'store' as const, name })),
  ];
}

/** Effect: each of these parts is compared on schedule, the first time now. Idempotent: a date that stands is left. */
export async function ensureReconciliations({ prisma }: Pick<Ledger, 'prisma'>, parts: readonly Part[]): Promise<void> {
  await prisma.dueWork.createMany({
    data: parts.map((part) => ({ kind: 'reconcile', subjectId: partId(part), dueAt: new Date() })),
    skipDuplicates: true,
  });
}

export interface RunOrder {
  readonly parts: readonly Part[];
  readonly trigger: 'person' | 'resume';
  readonly by: string;
  readonly at: Date;
  readonly restoreId?: string;
  idOf(part: Part): string;
}

/** Effect: one waiting run per part that has none under way, due now. Idempotent by the runs' ids. */
export async function beginRuns(tx: Transaction, ledger: Ledger, order: RunOrder): Promise<void> {
  const drafts: EvidenceDraft[] = [];
  for (const part of order.parts) {
    const id = order.idOf(part);
    const { count } = await tx.reconciliation.createMany({
      data: [
        {
          id,
          ...part,
          trigger: order.trigger,
          requestedBy: order.by,
          state: 'waiting',
          createdAt: order.at,
          restoreId: order.restoreId ?? null,
        },
      ],
      skipDuplicates: true,
    });
    const subjectId = partId(part);
    await tx.dueWork.upsert({
      where: { kind_subjectId: { kind: 'reconcile', subjectId } },
      create: { kind: 'reconcile', subjectId, dueAt: order.at },
      update: { dueAt: order.at, attempts: 0 },
    });
    if (count === 0) continue;
    drafts.push({
      chain: `reconciliation/${id}`,
      kind: 'reconciliation.requested',
      actor: order.by,
      at: order.at,
      data: { ...part, trigger: order.trigger },
    });
  }
  await appendEvidence(tx, ledger.evidence, drafts);
}

/**
 * Effect: a person wants these parts compared now; the lifecycle begins within a minute. Idempotent by the runs' ids; a
 * part that is being compared already keeps its run.
 * @returns the unfinished or named run of each part
 */
export async function requestReconciliation(
  ledger: Ledger,
  { parts, by, idOf }: { parts: readonly Part[]; by: string; idOf: (part: Part) => string },
): Promise<readonly ReconciliationRun[]> {
  return ledger.prisma.$transaction(async (tx) => {
    await beginRuns(tx, ledger, { parts, trigger: 'person', by, at: new Date(), idOf });
    const rows = await tx.reconciliation.findMany({
      where: { OR: parts.flatMap((part) => [{ ...part, finishedAt: null }, { id: idOf(part) }]) },
      orderBy: [{ part: 'asc' }, { name: 'asc' }],
    });
    return rows as ReconciliationRun[];
  });
}

/** The unfinished run of this part, or a new one that the schedule began. */
export async function takeRun(ledger: Pick<Ledger, 'prisma'>, part: Part): Promise<ReconciliationRun> {
  await ledger.prisma.reconciliation.createMany({
    data: [
      {
        id: idFromBytes(randomBytes(16)),
        ...part,
        trigger: 'schedule',
        requestedBy: 'system:lifecycle',
        state: 'waiting',
      },
    ],
    skipDuplicates: true,
  });
  const run = await ledger.prisma.reconciliation.findFirstOrThrow({ where: { ...part, finishedAt: null } });
  return run as ReconciliationRun;
}

export interface ComparedPage {
  /** The last identity that was compared; undefined when that was the end. */
  readonly cursor: string | undefined;
  readonly observeOnly: boolean;
  readonly compared: number;
  readonly foreign: number;
  readonly found: number;
  readonly repaired: number;
}

/**
 * Effect: the run has come one page further, and its next page (or the next run) is due. A page that another process
 * recorded first counts once.
 * @param restMs how long until the next run, when this page was the last
 */
export async function recordPage(
  { prisma }: Pick<Ledger, 'prisma'>,
  run: ReconciliationRun,
  page: ComparedPage,
  restMs: number,
): Promise<void> {
  const isDone = page.cursor === undefined;
  await prisma.$transaction(async (tx) => {
    const now = new Date();
    const { count } = await tx.reconciliation.updateMany({
      where: { id: run.id, cursor: run.cursor, finishedAt: null },
      data: {
        cursor: page.cursor ?? run.cursor,
        state: isDone ? 'done' : 'running',
        ...(isDone ? { finishedAt: now } : {}),
        ...(page.observeOnly ? { observeOnly: true } : {}),
        compared: { increment: page.compared },
        foreign: { increment: page.foreign },
        found: { increment: page.found },
        repaired: { increment: page.repaired },
        lastError: null,
      },
    });
    if (count === 0) return;
    await tx.dueWork.updateMany({
      where: { kind: 'reconcile', subjectId: partId(run) },
      data: { dueAt: new Date(now.getTime() + (isDone ? restMs : 0)), attempts: 0 },
    });
  });
}

/** Effect: why the page could not be compared; the lifecycle tries it again with its backoff. */
export async function recordRunError(
  { prisma }: Pick<Ledger, 'prisma'>,
  run: ReconciliationRun,
  reason: string,
): Promise<void> {
  await prisma.reconciliation.updateMany({ where: { id: run.id }, data: { lastError: reason.slice(0, 500) } });
}
