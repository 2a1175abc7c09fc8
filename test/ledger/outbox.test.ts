import { expect, test } from 'vitest';
import { claimMessages, enqueue, markDelivered, markFailed } from '../../ledger/outbox.ts';
import { type EvidenceFixture, evidenceFixture } from './evidenceFixture.ts';

const kinds = ['nudge', 'nudge-frozen', 'notify'];

/** A ledger with nudges for these requests. */
async function outboxOf(
  ...requestIds: string[]
): Promise<{ prisma: EvidenceFixture['ledger']; direct: EvidenceFixture['direct'] }> {
  const { ledger: prisma, direct } = await evidenceFixture();
  for (const requestId of requestIds) await prisma.$transaction((tx) => enqueue(tx, { kind: 'nudge', requestId }));
  return { prisma, direct };
}

/** What waits comes due, as if its backoff had passed. */
const passBackoff = ({ prisma }: { prisma: EvidenceFixture['ledger'] }) =>
  prisma.outboxMessage.updateMany({ data: { nextAttemptAt: new Date(0) } });

const requestsOf = (messages: Awaited<ReturnType<typeof claimMessages>>) =>
  messages.map(({ payload }) => ('requestId' in payload ? payload.requestId : payload.freezeId)).sort();

test('a message is there only if its transaction committed', async () => {
  const ledger = await outboxOf();
  const failing = ledger.prisma.$transaction(async (tx) => {
    await enqueue(tx, { kind: 'nudge', requestId: 'r1' });
    throw new Error('the change behind it failed');
  });
  await expect(failing).rejects.toThrow('the change behind it failed');
  expect(await claimMessages(ledger, kinds, 10)).toEqual([]);
});

test('two dispatchers at once never hold the same message, and together have all of them', async () => {
  const ids = Array.from({ length: 40 }, (_, index) => `r${index}`);
  const ledger = await outboxOf(...ids);
  const claims = await Promise.all(Array.from({ length: 8 }, () => claimMessages(ledger, kinds, 7)));
  const claimed = claims.flat().map(({ id }) => id);
  expect(new Set(claimed).size).toBe(claimed.length);
  const rest = await claimMessages(ledger, kinds, 40);
  expect(requestsOf([...claims.flat(), ...rest])).toEqual([...ids].sort());
});

test('a message whose dispatcher died comes back, each time later, and is lost by no number of deaths', async () => {
  const ledger = await outboxOf('r1');
  const waits: number[] = [];
  for (let death = 0; death < 9; death += 1) {
    const [claimed] = await claimMessages(ledger, kinds, 10);
    expect(claimed?.payload).toEqual({ kind: 'nudge', requestId: 'r1' });
    expect(await claimMessages(ledger, kinds, 10)).toEqual([]);
    const [row] = await ledger.prisma.$queryRaw<{ seconds: number }[]>`
      SELECT round(extract(epoch FROM "nextAttemptAt" - clock_timestamp()))::int AS "seconds" FROM "outbox_message"`;
    waits.push(row?.seconds ?? 0);
    await passBackoff(ledger);
  }
  expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60]);
});

test('what was delivered is never claimed again', async () => {
  const ledger = await outboxOf('r1', 'r2');
  const [first] = await claimMessages(ledger, kinds, 1);
  if (first === undefined) throw new Error('there are two');
  await markDelivered(ledger, first.id);
  await markDelivered(ledger, first.id);
  await passBackoff(ledger);
  expect(await claimMessages(ledger, kinds, 10)).toHaveLength(1);
  const delivered = await ledger.prisma.outboxMessage.findUniqueOrThrow({ where: { id: first.id } });
  expect(delivered.deliveredAt).not.toBeNull();
});

test('what was not delivered keeps its error for operators, bounded, and is claimed again', async () => {
  const ledger = await outboxOf('r1');
  const [message] = await claimMessages(ledger, kinds, 1);
  if (message === undefined) throw new Error('there is one');
  await markFailed(ledger, message.id, 'x'.repeat(10_000));
  const { lastError } = await ledger.prisma.outboxMessage.findUniqueOrThrow({ where: { id: message.id } });
  expect(lastError).toBe('x'.repeat(500));
  await passBackoff(ledger);
  expect(await claimMessages(ledger, kinds, 10)).toHaveLength(1);
});

test('a claim takes the kinds it asks for only', async () => {
  const ledger = await outboxOf('r1');
  await ledger.prisma.$transaction((tx) => enqueue(tx, { kind: 'notify', requestId: 'r2', to: ['owner'], about: 'x' }));
  expect(requestsOf(await claimMessages(ledger, ['notify'], 10))).toEqual(['r2']);
  expect(requestsOf(await claimMessages(ledger, ['nudge'], 10))).toEqual(['r1']);
});

test('the oldest due message is claimed first, by index', async () => {
  const ledger = await outboxOf('r1', 'r2', 'r3');
  for (const [id, minutes] of [
    [1, 2],
    [2, 9],
    [3, 5],
  ] as const) {
    const nextAttemptAt = new Date(Date.now() - minutes * 60_000);
    await ledger.prisma.outboxMessage.updateMany({ where: { id: BigInt(id) }, data: { nextAttemptAt } });
  }
  const order: string[] = [];
  for (let time = 0; time < 3; time += 1) order.push(...requestsOf(await claimMessages(ledger, kinds, 1)));
  expect(order).toEqual(['r2', 'r3', 'r1']);
  const plan = await ledger.prisma.$transaction(async (tx) => {
    await tx.$executeRaw`SET LOCAL enable_seqscan = off`;
    return tx.$queryRaw<{ 'QUERY PLAN': string }[]>`
      EXPLAIN SELECT "id" FROM "outbox_message" WHERE "deliveredAt" IS NULL AND "nextAttemptAt" <= clock_timestamp()
      ORDER BY "nextAttemptAt" LIMIT 10`;
  });
  expect(plan.map((line) => line['QUERY PLAN']).join('\n')).toContain('outbox_undelivered');
});
