import pg from 'pg';
import type { Prisma } from '../prisma/generated/client.ts';
import { statementName } from './client.ts';

/** A read whose text never changes, put together once; its values are given in the order of its places. */
export interface HotStatement {
  readonly name: string;
  readonly text: string;
}

/**
 * Reads that a resource server waits for at each call of its own, straight by the driver: to put the statement together and
 * to read its answer costs Prisma several times what the driver needs.
 */
export interface HotReads {
  /** The first row. @throws the driver's error, which `isLedgerUnavailable` understands */
  first<Row extends object>(statement: HotStatement, values: readonly string[]): Promise<Row | undefined>;
  close(): Promise<void>;
}

/** PostgreSQL plans it once per connection, by its name. */
export function hotStatement({ strings }: Prisma.Sql): HotStatement {
  const text = strings.reduce((before, part, index) => `${before}$${index}${part}`);
  return { name: statementName(text), text };
}

/** @param poolSize connections at most; none is opened before the first read */
export function hotReads({ databaseUrl, poolSize = 10 }: { databaseUrl: string; poolSize?: number }): HotReads {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: poolSize,
    application_name: 'tenure',
    connectionTimeoutMillis: 5_000,
    query_timeout: 15_000,
  });
  // Of a connection that nobody uses: the next read takes another.
  pool.on('error', () => undefined);
  return {
    async first<Row extends object>({ name, text }: HotStatement, values: readonly string[]) {
      const { rows } = await pool.query<Row>({ name, text, values: [...values] });
      return rows[0];
    },
    close: () => pool.end(),
  };
}
