import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Transaction } from '../../ledger/client.ts';
import { finishedRequests, servedCredentials } from '../../ledger/queries/completions.ts';
import {
  countedAtMost,
  dueWork,
  freezesInForce,
  openRequests,
  owedDestroys,
  undeliveredMessages,
  unsealedEvidence,
} from '../../ledger/queries/operatingFigures.ts';
import { type FreshDatabase, freshDatabase } from '../setup/database.ts';
import { insertFlow, insertIdentity } from './rows.ts';

const manyRows = 20_000;
let database: FreshDatabase;
let client: pg.Client;

/** A ledger of some years: nearly everything final, delivered, sealed, destroyed. */
beforeAll(async () => {
  database = await freshDatabase();
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
  const identityId = await insertIdentity(client);
  const digest = await insertFlow(client);
  // The triggers judge each row's history, which rows made in bulk have not.
  for (const table of ['credential', 'evidence_entry'])
    await client.query(`ALTER TABLE "${table}" DISABLE TRIGGER USER`);
  await client.query(
    `INSERT INTO "request" ("id", "kind", "identityId", "flowDigest", "state", "trigger", "requesterId", "requesterKind",
       "flowState", "workflowId", "createdAt", "finishedAt")
     SELECT 'many' || n, 'rotation', $1, $2, 'completed', 'person', 'rui', 'person', '{}', 'w',
       now() - n * interval '1 minute', now() - n * interval '1 minute' FROM generate_series(1, $3::int) n`,
    [identityId, digest, manyRows],
  );
  await client.query(
    `INSERT INTO "credential" ("handle", "identityId", "version", "requestId", "state", "leaseEndsAt", "promotedAt", "receipt")
     SELECT $1 || '-v' || n, $1, n, 'many' || n, 'destroyed', now(), now() - n * interval '1 minute', '{}'
     FROM generate_series(1, $2::int) n`,
    [identityId, manyRows],
  );
  await client.query(
    `INSERT INTO "evidence_entry" ("chain", "position", "body", "mac", "leafIndex")
     SELECT 'many', n, '{}', decode(repeat('00', 32), 'hex'), n FROM generate_series(1, $1::int) n`,
    [manyRows],
  );
  await client.query(
    `INSERT INTO "outbox_message" ("kind", "payload", "deliveredAt") SELECT 'nudge', '{}', now() FROM generate_series(1, $1::int)`,
    [manyRows],
  );
  await client.query(
    `INSERT INTO "due_work" SELECT 'rotation', 'i' || n, now() + n * interval '1 minute', 0 FROM generate_series(1, $1::int) n`,
    [manyRows],
  );
  await client.query(
    `INSERT INTO "freeze" ("id", "identityIds", "integrations", "reason", "openedBy", "liftedAt")
     SELECT 'f' || n, '{a}', '{}', 'over', 'rui', now() FROM generate_series(1, $1::int) n`,
    [manyRows],
  );
  await client.query('VACUUM ANALYZE');
});
afterAll(async () => {
  await client?.end();
  await database?.drop();
});

/** Explains what is asked for instead of answering it, and gives the tables that would be read whole. */
async function readWhole(ask: (rows: Pick<Transaction, '$queryRaw'>) => Promise<unknown>): Promise<string[]> {
  const whole: string[] = [];
  const rows = {
    async $queryRaw(strings: TemplateStringsArray, ...values: unknown[]) {
      const statement = strings.reduce((text, part, index) => `${text}$${index}${part}`);
      const { rows: explained } = await client.query(`EXPLAIN (FORMAT JSON) ${statement}`, values);
      whole.push(
        ...JSON.stringify(explained)
          .matchAll(/"Seq Scan"[^{}]*?"Relation Name":"(\w+)"/g)
          .map(([, table]) => `${table}`),
      );
      return (await client.query(statement, values)).rows;
    },
  };
  await ask(rows as unknown as Pick<Transaction, '$queryRaw'>);
  return whole;
}

const reading = { after: { at: new Date(), id: '' }, limit: 1_000, settleMs: 10_000 };

test.each([
  ['open requests', openRequests],
  ['owed destroys', owedDestroys],
  ['unsealed evidence', unsealedEvidence],
  ['due work', dueWork],
  ['undelivered messages', undeliveredMessages],
  ['freezes in force', freezesInForce],
  ['finished requests', (rows: Pick<Transaction, '$queryRaw'>) => finishedRequests(rows, reading)],
  ['served credentials', (rows: Pick<Transaction, '$queryRaw'>) => servedCredentials(rows, reading)],
])('%s are read through an index, however much is over', async (_what, ask) => {
  expect(await readWhole(ask)).toEqual([]);
});

test('a table that is read whole would be noticed', async () => {
  expect(await readWhole((rows) => rows.$queryRaw`SELECT "body" FROM "evidence_entry"`)).toEqual(['evidence_entry']);
});

test('a backlog is counted up to a bound, so that a scrape stays cheap in the worst hour', async () => {
  await client.query('BEGIN');
  try {
    await client.query(
      `INSERT INTO "outbox_message" ("kind", "payload") SELECT 'nudge', '{}' FROM generate_series(1, $1::int)`,
      [countedAtMost + 500],
    );
    const rows = {
      async $queryRaw(strings: TemplateStringsArray, ...values: unknown[]) {
        return (
          await client.query(
            strings.reduce((text, part, index) => `${text}$${index}${part}`),
            values,
          )
        ).rows;
      },
    };
    const { count } = await undeliveredMessages(rows as unknown as Pick<Transaction, '$queryRaw'>);
    expect(count).toBe(countedAtMost);
  } finally {
    await client.query('ROLLBACK');
  }
});
