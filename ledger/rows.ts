import { Prisma } from '../prisma/generated/client.ts';
import type { Statements } from './statements.ts';

/** Rows that are written past Prisma, each table with the columns that Prisma knows of it. */
interface Tables {
  access_grant: Prisma.AccessGrantCreateManyInput;
  acknowledgement: Prisma.AcknowledgementCreateManyInput;
  credential: Prisma.CredentialCreateManyInput;
  decision: Prisma.DecisionCreateManyInput;
  evidence_checkpoint: Prisma.EvidenceCheckpointCreateManyInput;
  flow_publication: Prisma.FlowPublicationCreateManyInput;
  flow_version: Prisma.FlowVersionCreateManyInput;
  freeze_stop: Prisma.FreezeStopCreateManyInput;
  idempotent_call: Prisma.IdempotentCallCreateManyInput;
  identity: Prisma.IdentityCreateManyInput;
  mass_revocation_subject: Prisma.MassRevocationSubjectCreateManyInput;
  outbox_message: Prisma.OutboxMessageCreateManyInput;
  pause: Prisma.PauseCreateManyInput;
  published_flow: Prisma.PublishedFlowCreateManyInput;
  request: Prisma.RequestCreateManyInput;
  requester: Prisma.RequesterCreateManyInput;
}

/** Effect: one row; columns that are left out have their defaults. @throws the database's error when a row has its key */
export async function insertRow<Table extends keyof Tables>(
  tx: Statements,
  table: Table,
  row: Tables[Table],
): Promise<void> {
  await tx.$executeRaw(insertion(table, row));
}

/** The same where a row with its key may be there: that one stays as it is. @returns whether this call wrote it */
export async function insertNewRow<Table extends keyof Tables>(
  tx: Statements,
  table: Table,
  row: Tables[Table],
): Promise<boolean> {
  return (await tx.$executeRaw(Prisma.sql`${insertion(table, row)} ON CONFLICT DO NOTHING`)) === 1;
}

/**
 * Effect: the one row with this key has these values. @throws RowMissing when there is none: what was locked a moment ago is
 * gone, so nothing of the transaction may stay
 */
export async function updateRow<Table extends keyof Tables>(
  tx: Statements,
  table: Table,
  key: Partial<Tables[Table]>,
  values: Partial<Tables[Table]>,
): Promise<void> {
  const set = Prisma.join(pairs(values), ', ');
  const where = Prisma.join(pairs(key), ' AND ');
  const count = await tx.$executeRaw(Prisma.sql`UPDATE ${quoted(table)} SET ${set} WHERE ${where}`);
  if (count !== 1) throw new RowMissing(table, count);
}

function insertion(table: string, row: object): Prisma.Sql {
  const entries = presentOf(row);
  const columns = Prisma.join(entries.map(([column]) => quoted(column)));
  return Prisma.sql`INSERT INTO ${quoted(table)} (${columns}) VALUES (${Prisma.join(entries.map(([, value]) => value))})`;
}

function pairs(values: object): Prisma.Sql[] {
  return presentOf(values).map(([column, value]) => Prisma.sql`${quoted(column)} = ${value}`);
}

function presentOf(row: object): [string, unknown][] {
  return Object.entries(row)
    .filter(([, value]) => value !== undefined)
    .map(([column, value]) => [column, isJson(value) ? JSON.stringify(value) : value]);
}

/** An array is one of PostgreSQL's. */
function isJson(value: unknown): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Date) &&
    !ArrayBuffer.isView(value)
  );
}

/** Tables and columns come from this code alone, never from a caller's input. */
function quoted(name: string): Prisma.Sql {
  return Prisma.raw(`"${name}"`);
}

/** A row that was locked is not there to be changed. Everything is rolled back. */
export class RowMissing extends Error {
  override readonly name = 'RowMissing';
  constructor(table: string, count: number) {
    super(
      `A change of one row of "${table}" met ${count}. Nothing was written. Somebody changed the ledger past Tenure: verify the evidence.`,
    );
  }
}
