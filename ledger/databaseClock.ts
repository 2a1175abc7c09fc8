import type { Statements } from './statements.ts';

/** The database's clock, by which the ledger dates and compares everything; not the transaction's beginning. */
export async function databaseClock(tx: Pick<Statements, '$queryRaw'>): Promise<Date> {
  const [row] = await tx.$queryRaw<{ now: Date }[]>`SELECT clock_timestamp() AS "now"`;
  if (row === undefined) throw new TypeError('PostgreSQL answered a SELECT without FROM with no row.');
  return row.now;
}
