import pg from 'pg';
import type { HotReads, HotStatement } from './hotReads.ts';
import { type Statement, type Statements, statementOf } from './statements.ts';

/** How long PostgreSQL may be silent about one statement before its connection is given up. */
const answerTimeoutMs = 5_000;
const bigintOid = 20;

/** Of pools whose connections stay open: what is between here and PostgreSQL must not forget one that is silent. */
export const keptConnections = { idleTimeoutMillis: 0, keepAlive: true, keepAliveInitialDelayMillis: 10_000 } as const;

export interface DirectPool extends Statements, HotReads {
  /**
   * Runs `work` in one transaction. What is asked for without waiting for an earlier answer travels with it, so a
   * transaction takes as many round trips as it has answers to wait for, not as it has statements.
   * @param opening an SQL text that begins the transaction; what else it says happens before anything of `work`
   * @throws what `work` throws, with everything rolled back; NotCommitted when `work` went on after a statement had failed
   */
  transaction<T>(opening: string, work: (tx: Statements) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/**
 * The ledger's connections past Prisma, for what every step and every resource server waits for: to put a statement together
 * and to read its answer costs Prisma several times what the driver needs (docs/decisions/prepared-statements.md).
 * @param poolSize connections at most; none is opened before it is needed
 * @param isKept whether a connection that nobody uses stays open
 */
export function openDirect({
  databaseUrl,
  poolSize = 10,
  isKept = false,
}: {
  databaseUrl: string;
  poolSize?: number;
  isKept?: boolean;
}): DirectPool {
  const pool = new pg.Pool({
    ...(isKept ? keptConnections : {}),
    connectionString: databaseUrl,
    max: poolSize,
    application_name: 'tenure',
    connectionTimeoutMillis: 5_000,
    query_timeout: answerTimeoutMs,
    pipeline: true,
    types: { getTypeParser },
  });
  // Of a connection that nobody uses: the next one takes another.
  pool.on('error', () => undefined);
  // Of one in use: what waits for its answer is told, and the pool drops it.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return {
    ...statementsOn({ ask: (statement) => pool.query(statement) }),
    async first<Row extends object>({ name, text }: HotStatement, values: readonly string[]) {
      const { rows } = await pool.query<Row>({ name, text, values: [...values] });
      return rows[0];
    },
    async transaction(opening, work) {
      const client = await pool.connect();
      let [isOpen, broken]: [boolean, unknown] = [true, undefined];
      // Work that stands still holds its connection only until PostgreSQL ends the transaction.
      const lost = Promise.withResolvers<never>();
      client.on('error', lost.reject);
      try {
        const begun = client.query(opening);
        const worked = Promise.all([work(statementsIn(client, begun, () => isOpen)), begun]);
        const [result] = await Promise.race([worked, lost.promise]);
        isOpen = false;
        // PostgreSQL answers COMMIT of a transaction in which a statement failed with a rollback, and no error.
        const { command } = await client.query('COMMIT');
        if (command !== 'COMMIT') throw new NotCommitted();
        return result;
      } catch (error) {
        isOpen = false;
        await client.query('ROLLBACK').catch((unreachable: unknown) => {
          broken = unreachable;
        });
        throw error;
      } finally {
        client.off('error', lost.reject);
        client.release(broken !== undefined);
      }
    },
    close: () => pool.end(),
  };
}

/**
 * @param begun the first readings travel with what begins the transaction; what may write waits until it has begun, or it
 *   would be done outside of any where that fails
 * @param isOpen false once the transaction ends: what asks later would else do it on another's connection
 */
function statementsIn(client: pg.PoolClient, begun: Promise<unknown>, isOpen: () => boolean): Statements {
  let isWaiting = true;
  let mayGoBefore = true;
  begun.then(() => {
    isWaiting = false;
  }, noted);
  return statementsOn({
    async ask(statement) {
      mayGoBefore &&= /^\s*SELECT\b/.test(statement.text);
      // In the order of the calls: behind one that waits, all do.
      if (isWaiting && !mayGoBefore) await begun;
      if (!isOpen()) throw new TransactionEnded();
      return client.query(statement);
    },
  });
}

/** Whoever waits for it is told as well. */
function noted(): void {}

interface Asked {
  ask(statement: Statement): Promise<pg.QueryResult>;
}

function statementsOn({ ask }: Asked): Statements {
  return {
    $queryRaw: async <Rows>(query: Query, ...values: unknown[]) => (await ask(statementOf(query, values))).rows as Rows,
    $executeRaw: async (query, ...values) => (await ask(statementOf(query, values))).rowCount ?? 0,
  };
}

type Query = Parameters<Statements['$queryRaw']>[0];

/** As Prisma reads them. */
function getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
  return oid === bigintOid ? BigInt : pg.types.getTypeParser(oid, format as 'text');
}

/** A statement came after its transaction's end: what asked for it goes on after another part of the work had failed. */
export class TransactionEnded extends Error {
  override readonly name = 'TransactionEnded';
  constructor() {
    super('A statement was asked for after its transaction had ended. Nothing of it was done.');
  }
}

/** A statement of the transaction had failed before its end; PostgreSQL rolled it back. */
export class NotCommitted extends Error {
  override readonly name = 'NotCommitted';
  constructor() {
    super(
      'PostgreSQL rolled back a transaction that was to be committed: a statement in it had failed before. Repeat it.',
    );
  }
}
