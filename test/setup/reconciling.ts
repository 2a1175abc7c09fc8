import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { LifecycleActivities } from '../../contracts/activities.ts';
import { idFromBytes } from '../../domain/ids.ts';
import type { Ledger } from '../../ledger/client.ts';
import { type Part, type ReconciliationRun, requestReconciliation } from '../../ledger/reconciliations.ts';

/** The issuer and the store of a test installation. */
export const comparedParts: readonly Part[] = [
  { part: 'issuer', name: 'main-db' },
  { part: 'store', name: 'sealed' },
];

interface Reconcilable {
  readonly ledger: Ledger;
  readonly activities: LifecycleActivities;
}

/** Has everything compared once more, from the beginning, and waits for the end of it. @throws why a page failed */
export async function reconcile({ ledger, activities }: Reconcilable): Promise<readonly ReconciliationRun[]> {
  await ledger.prisma.reconciliation.updateMany({
    where: { finishedAt: null },
    data: { state: 'abandoned', finishedAt: new Date() },
  });
  const runs = await requestReconciliation(ledger, {
    parts: comparedParts,
    by: 'responder@tenure.example',
    idOf: () => idFromBytes(randomBytes(16)),
  });
  const ids = runs.map(({ id }) => id);
  for (;;) {
    await activities.runDueWork();
    const rows = await ledger.prisma.reconciliation.findMany({ where: { id: { in: ids } }, orderBy: { part: 'asc' } });
    if (rows.every(({ finishedAt }) => finishedAt !== null)) return rows as ReconciliationRun[];
    const error = rows.find(({ lastError }) => lastError !== null)?.lastError;
    if (error !== undefined) throw new Error(`The comparison failed: ${error}`);
  }
}

/** `unknown v2 open`: every finding about an identity, oldest first; of the whole live path without a version. */
export async function findingsOf({ ledger }: Pick<Reconcilable, 'ledger'>, identityId: string): Promise<string[]> {
  const rows = await ledger.prisma.reconciliationFinding.findMany({
    where: { identityId },
    orderBy: [{ createdAt: 'asc' }, { kind: 'asc' }],
  });
  return rows.map(({ kind, version, state }) => `${kind}${version === 0 ? '' : ` v${version}`} ${state}`);
}

/** Statements that nobody at Tenure knows of, by a superuser of the same server. */
export async function behindTenuresBack(
  databaseUrl: string,
  ...statements: readonly string[]
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    let rows: Record<string, unknown>[] = [];
    for (const statement of statements) rows = (await client.query(statement)).rows;
    return rows;
  } finally {
    await client.end();
  }
}
