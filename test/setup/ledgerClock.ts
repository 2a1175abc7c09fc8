import { expect } from 'vitest';
import { eventually } from './eventually.ts';
import type { TestInstallation } from './installation.ts';

/** Waits until the ledger's clock, which alone decides what is due, has passed this instant. */
export async function untilLedgerClockPasses(
  { ledger }: Pick<TestInstallation, 'ledger'>,
  instant: Date,
): Promise<void> {
  await eventually(async () => {
    const [clock] = await ledger.prisma.$queryRaw<{ now: Date }[]>`SELECT clock_timestamp() AS "now"`;
    expect(clock?.now.getTime()).toBeGreaterThan(instant.getTime());
  }, 30_000);
}
