import { expect, inject, test } from 'vitest';
import type { Ground } from '../../bench/ground.ts';
import { rows } from '../../bench/rows.ts';

const ground: Ground = {
  postgresUrl: async () => inject('postgresUrl'),
  temporalAddress: async () => inject('temporalAddress'),
  say: () => {},
};

/** Patience for rows that make whole installations, on a machine that does other things too. */
const patience = { timeout: 240_000 };

test.each(rows)('row $name of the bench runs, and every figure of it is a number', patience, async (row) => {
  const findings = await row.run(ground, 'small');
  expect(findings).not.toHaveLength(0);
  for (const { what, value } of findings) expect(value, what).toSatisfy(Number.isFinite);
});
