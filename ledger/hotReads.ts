import type { Prisma } from '../prisma/generated/client.ts';
import { statementName } from './statements.ts';

/** A read whose text never changes, put together once; its values are given in the order of its places. */
export interface HotStatement {
  readonly name: string;
  readonly text: string;
}

/** Reads that a resource server waits for at each call of its own. */
export interface HotReads {
  /** The first row. @throws the driver's error, which `isLedgerUnavailable` understands */
  first<Row extends object>(statement: HotStatement, values: readonly string[]): Promise<Row | undefined>;
}

/** PostgreSQL plans it once per connection, by its name. */
export function hotStatement({ strings }: Prisma.Sql): HotStatement {
  const text = strings.reduce((before, part, index) => `${before}$${index}${part}`);
  return { name: statementName(text), text };
}
