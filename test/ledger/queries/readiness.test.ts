import { expect, onTestFinished, test } from 'vitest';
import { openPrisma } from '../../../ledger/client.ts';
import { isLedgerUnavailable } from '../../../ledger/queries/readiness.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { startFaultProxy } from '../../contract/faultProxy.ts';
import { freshDatabase } from '../../setup/database.ts';

/** A ledger whose connections can be broken on the way. */
async function breakableLedger() {
  const database = await freshDatabase();
  const url = new URL(database.url);
  const proxy = await startFaultProxy(Number(url.port));
  url.port = String(proxy.port);
  const prisma = openPrisma({ databaseUrl: url.href });
  onTestFinished(async () => {
    await prisma.$disconnect();
    await proxy.close();
    await database.drop();
  });
  return { prisma, proxy };
}

async function failureOf(prisma: PrismaClient, work: (prisma: PrismaClient) => Promise<unknown>): Promise<unknown> {
  return work(prisma).then(
    () => undefined,
    (error: unknown) => error,
  );
}

test.each([
  ['before the server has it', 'cutBefore'],
  ['in place of its answer', 'cutAfter'],
] as const)(
  'a statement whose connection is cut %s: the ledger is unavailable, the outcome unknown',
  async (_, cut) => {
    const { prisma, proxy } = await breakableLedger();
    void proxy[cut]('a-marked-statement');
    const alone = await failureOf(prisma, () => prisma.$queryRaw`SELECT 'a-marked-statement'`);
    expect(isLedgerUnavailable(alone), String(alone)).toBe(true);
    void proxy[cut]('another-marked-statement');
    const within = await failureOf(prisma, () =>
      prisma.$transaction((tx) => tx.$queryRaw`SELECT 'another-marked-statement'`),
    );
    expect(isLedgerUnavailable(within), String(within)).toBe(true);
    void proxy[cut]('the-model-s-own');
    const model = await failureOf(prisma, () => prisma.person.findUnique({ where: { id: 'the-model-s-own' } }));
    expect(isLedgerUnavailable(model), String(model)).toBe(true);
  },
);

test('a ledger that is silent, or ends the session, is unavailable', async () => {
  const { prisma, proxy } = await breakableLedger();
  const ended = await failureOf(prisma, () => prisma.$queryRaw`SELECT pg_terminate_backend(pg_backend_pid())`);
  expect(isLedgerUnavailable(ended), String(ended)).toBe(true);
  proxy.silence();
  const silent = await failureOf(prisma, () =>
    Promise.all(Array.from({ length: 2 }, () => prisma.$queryRaw`SELECT 1`)),
  );
  expect(isLedgerUnavailable(silent), String(silent)).toBe(true);
});

test('a statement that the server refuses is not unavailability', async () => {
  const { prisma } = await breakableLedger();
  const refused = await failureOf(prisma, () => prisma.$queryRaw`SELECT 1 / 0`);
  expect(refused).toBeInstanceOf(Error);
  expect(isLedgerUnavailable(refused)).toBe(false);
});
