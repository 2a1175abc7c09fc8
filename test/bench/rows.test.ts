import { expect, inject, test } from 'vitest';
import type { Ground } from '../../bench/ground.ts';
import { rows, rowsNamed } from '../../bench/rows.ts';

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

test('rows are named one by one or by their group, and keep their order; what takes long runs only when it is named; a name that nothing has is told', () => {
  const namesOf = (...named: string[]) => {
    const asked = rowsNamed(named);
    return 'chosen' in asked ? asked.chosen.map(({ name }) => name) : asked;
  };
  expect(namesOf()).toEqual(rows.map(({ name }) => name).filter((name) => name !== 'mass-revocation-growth'));
  expect(namesOf('mass-revocation-growth')).toEqual(['mass-revocation-growth']);
  expect(namesOf('flows')).toEqual(['advance-step', 'flow-simulation', 'flow-tests', 'flow-analysis']);
  expect(namesOf('flows', 'freeze', 'flow-tests')).toEqual([
    'freeze',
    ...['advance-step', 'flow-simulation', 'flow-tests', 'flow-analysis'],
  ]);
  expect(namesOf('step-up')).toContain('introspection');
  expect(namesOf('flow', 'freeze', 'speed')).toEqual({ unknown: 'flow, speed' });
});
