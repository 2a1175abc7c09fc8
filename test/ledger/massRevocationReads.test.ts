import type pg from 'pg';
import { expect, test } from 'vitest';
import type { Ledger, Transaction } from '../../ledger/client.ts';
import { stepMassRevocations } from '../../ledger/massRevocationSteps.ts';
import { Prisma, type PrismaClient } from '../../prisma/generated/client.ts';
import { evidenceFixture } from './evidenceFixture.ts';

/** How much of a mass revocation its steps read: PostgreSQL is asked what each statement of the plan really read. */

interface Node {
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: readonly Node[];
}

function subjectsReadIn(node: Node): number {
  const isOfSubjects = node['Relation Name'] === 'mass_revocation_subject' && (node.Plans ?? []).length === 0;
  const each = isOfSubjects ? node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0) : 0;
  return (node.Plans ?? []).reduce((sum, inner) => sum + subjectsReadIn(inner), each * node['Actual Loops']);
}

/** Explains each statement of a transaction before it is carried out, and takes the explanation back. */
function counting(prisma: PrismaClient): { prisma: PrismaClient; read: () => number } {
  let read = 0;
  async function count(tx: Transaction, statement: Prisma.Sql): Promise<void> {
    await tx.$executeRaw`SAVEPOINT "explained"`;
    const [row] = await tx.$queryRaw<{ 'QUERY PLAN': readonly { Plan: Node }[] }[]>(
      Prisma.sql`EXPLAIN (ANALYZE, FORMAT JSON) ${statement}`,
    );
    await tx.$executeRaw`ROLLBACK TO SAVEPOINT "explained"`;
    for (const { Plan } of row?.['QUERY PLAN'] ?? []) read += subjectsReadIn(Plan);
  }
  const countingIn = (tx: Transaction) =>
    new Proxy(tx, {
      get(target, name: keyof Transaction) {
        if (name !== '$queryRaw' && name !== '$executeRaw') return target[name];
        return async (strings: TemplateStringsArray, ...values: unknown[]) => {
          const statement = Prisma.sql(strings, ...values);
          await count(tx, statement);
          return target[name](statement);
        };
      },
    });
  const counted = new Proxy(prisma, {
    get(target, name: keyof PrismaClient) {
      if (name !== '$transaction') return target[name];
      return (work: (tx: Transaction) => Promise<unknown>, options: object) =>
        target.$transaction((tx) => work(countingIn(tx)), options);
    },
  });
  return { prisma: counted, read: () => read };
}

/** One mass revocation, of identities that nothing can be done with: each is told, and waits to be tried again. */
async function insertSubjects(client: pg.Client, counts: { waiting: number; finished: number }): Promise<void> {
  await client.query(
    `INSERT INTO "freeze" ("id", "identityIds", "integrations", "reason", "openedBy") VALUES ('f', '{}', '{payments}', 'x', 'ida')`,
  );
  await client.query(
    `INSERT INTO "mass_revocation" ("id", "freezeId", "reason", "startedBy", "gatheredAt")
     VALUES ('m', 'f', 'a leak', 'ida', now() + interval '1 hour')`,
  );
  await client.query(
    `INSERT INTO "identity" ("id", "kind", "name", "nameKey", "environment", "ownerId", "purpose", "scopes", "integration",
       "labels", "consumers", "expiresAt", "issuer", "store", "state")
     SELECT 'i' || n, 'service-account', 'i' || n, 'i' || n, 'staging', 'owner', 'a test', '{}', 'payments', '{}', '{}',
       now() + interval '30 days', 'db-' || n % 2, 'sealed', 'active' FROM generate_series(1, $1::int) AS n`,
    [counts.waiting + counts.finished],
  );
  // Those that are over are the first of their issuer, where a look for the next one begins.
  await client.query(
    `INSERT INTO "mass_revocation_subject" ("massRevocationId", "identityId", "issuer", "exposure", "state", "begunAt", "finishedAt")
     SELECT 'm', 'i' || n, 'db-' || n % 2, CASE WHEN n <= $1 THEN 0 ELSE 1 END, CASE WHEN n <= $1 THEN 'finished' ELSE 'waiting' END,
       CASE WHEN n <= $1 THEN now() - interval '1 hour' END, CASE WHEN n <= $1 THEN now() END FROM generate_series(1, $2::int) AS n`,
    [counts.finished, counts.waiting + counts.finished],
  );
  await client.query('ANALYZE "mass_revocation_subject"');
}

test.each([
  { waiting: 4_000, finished: 0 },
  { waiting: 2_000, finished: 2_000 },
  { waiting: 10, finished: 3_990 },
])(
  'a step reads the subjects that begin and those under way, though $waiting wait and $finished are over',
  async (counts) => {
    const { ledger, direct, keys, connect } = await evidenceFixture();
    const client = await connect();
    await insertSubjects(client, counts);
    const { prisma, read } = counting(ledger);
    const parts = { prisma, direct, evidence: keys } as unknown as Ledger;
    const pace = { concurrency: 3, perSecond: 3 };
    await stepMassRevocations(parts, () => pace, fail);
    const begun = await ledger.massRevocationSubject.count({ where: { state: 'begun' } });
    expect(begun).toBe(2 * pace.concurrency);
    // What begins, read by a few statements for each of the two issuers; never what waits or is over.
    expect(read()).toBeLessThan(40);
  },
);

function fail(error: unknown): never {
  throw error;
}
