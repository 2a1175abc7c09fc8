import { expect, test } from 'vitest';
import { sweepSingleUses, useOnce } from '../../ledger/singleUse.ts';
import { evidenceFixture } from './evidenceFixture.ts';

const inAnHour = () => new Date(Date.now() + 3_600_000);
const anHourAgo = () => new Date(Date.now() - 3_600_000);

test('of many who use a value at once, one is the first; another purpose is another value', async () => {
  const { ledger: prisma } = await evidenceFixture();
  const use = (purpose: string) => useOnce(prisma, { purpose, value: 'one', until: inAnHour() });
  const answers = await Promise.all(Array.from({ length: 20 }, () => use('assertion')));
  expect(answers.filter((isFirst) => isFirst)).toHaveLength(1);
  expect(await use('proof')).toBe(true);
});

test('what was used in a transaction that rolled back is unused', async () => {
  const { ledger: prisma } = await evidenceFixture();
  const once = { purpose: 'assertion', value: 'one', until: inAnHour() };
  const rolledBack = prisma.$transaction(async (tx) => {
    expect(await useOnce(tx, once)).toBe(true);
    throw new Error('rolled back');
  });
  await expect(rolledBack).rejects.toThrow('rolled back');
  expect(await useOnce(prisma, once)).toBe(true);
});

test('a sweep forgets what has expired and nothing else, however often', async () => {
  const { ledger: prisma } = await evidenceFixture();
  const old = { purpose: 'assertion', value: 'old', until: anHourAgo() };
  const fresh = { purpose: 'assertion', value: 'fresh', until: inAnHour() };
  for (const each of [old, fresh]) await useOnce(prisma, each);
  for (const _repeated of [1, 2]) expect(await sweepSingleUses(prisma)).toBe(false);
  expect(await useOnce(prisma, fresh)).toBe(false);
  expect(await useOnce(prisma, old)).toBe(true);
});
