import { createHash } from 'node:crypto';
import { Prisma } from '../prisma/generated/client.ts';

/**
 * What a transaction of either kind offers: Prisma's, and the driver's own (ledger/direct.ts). Of the driver's, statements that
 * are asked for before an earlier one has answered travel together, and PostgreSQL carries them out in the order of the calls.
 */
export interface Statements {
  /** Its rows; `bigint` as BigInt, `timestamptz` as Date, `json` parsed. */
  $queryRaw<Rows = unknown>(query: TemplateStringsArray | Prisma.Sql, ...values: unknown[]): Promise<Rows>;
  /** How many rows it wrote. */
  $executeRaw(query: TemplateStringsArray | Prisma.Sql, ...values: unknown[]): Promise<number>;
}

/** As node-postgres takes it. */
export interface Statement {
  /** Empty: planned anew. */
  readonly name: string;
  readonly text: string;
  readonly values: unknown[];
}

/** What such a call means, with its name. */
export function statementOf(query: TemplateStringsArray | Prisma.Sql, values: unknown[]): Statement {
  const sql = 'raw' in query ? Prisma.sql(query, ...values) : query;
  const { text } = sql;
  return { name: statementNameOf(text), text, values: sql.values };
}

/** Texts whose length varies (lists) would otherwise fill PostgreSQL's memory: each connection keeps what it prepared. */
const mostPreparedStatements = 500;
const names = new Map<string, string>();

/**
 * The name under which PostgreSQL plans a statement once per connection: planning was a third of a step's time. The empty
 * name is the protocol's for "plan it anew". A `*` always gets that: a migration that adds a column changes what it answers,
 * which PostgreSQL refuses of a prepared one ("cached plan must not change result type"), and the previous release runs on
 * the newer schema.
 */
export function statementNameOf(text: string): string {
  const known = names.get(text);
  if (known !== undefined) return known;
  if (text.includes('*') || names.size >= mostPreparedStatements) return '';
  const name = statementName(text);
  names.set(text, name);
  return name;
}

/** Names a statement by its text: PostgreSQL knows it again on each connection, and two texts never share a name. */
export function statementName(text: string): string {
  return `tenure_${createHash('sha256').update(text).digest('hex').slice(0, 32)}`;
}
