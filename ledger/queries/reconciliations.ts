import type { FindingKind } from '../../domain/reconciliation.ts';
import type { Transaction } from '../client.ts';
import type { Finding } from '../findings.ts';
import type { ReconciliationRun } from '../reconciliations.ts';
import { type Page, type PageAsked, pageOf, pageQuery } from './page.ts';

/** Newest first. */
export async function listReconciliations(ledger: Transaction, asked: PageAsked): Promise<Page<ReconciliationRun>> {
  const rows = await ledger.reconciliation.findMany(pageQuery(asked));
  return pageOf(rows as ReconciliationRun[], asked.limit);
}

export interface FindingsWanted {
  readonly state?: 'open' | 'repaired' | 'accepted';
  readonly kind?: FindingKind;
  readonly identityId?: string;
}

/** Those first seen last come first. */
export async function listFindings(
  ledger: Transaction,
  wanted: FindingsWanted,
  asked: PageAsked,
): Promise<Page<Finding>> {
  const { where, ...order } = pageQuery(asked);
  const rows = await ledger.reconciliationFinding.findMany({ ...order, where: { AND: [wanted, where ?? {}] } });
  return pageOf(rows as Finding[], asked.limit);
}

export async function countOpenFindings(ledger: Transaction): Promise<number> {
  return ledger.reconciliationFinding.count({ where: { state: 'open' } });
}
