import { Coverage } from '../../domain/flow/coverage.ts';
import { runFlowTest } from '../../domain/flow/testing.ts';
import { rounded } from '../finding.ts';
import { shippedFlows } from '../installation.ts';
import { median, perSecond } from '../rounds.ts';
import type { Row } from '../row.ts';

/** The tests in the shipped flows, by the runner of `tenure flows test`, coverage counted. */
export const flowTests: Row = {
  name: 'flow-tests',
  group: 'flows',
  dependsOnServer: false,
  async run(ground, size) {
    const { count, times } = size === 'full' ? { count: 9, times: 5_000 } : { count: 1, times: 50 };
    const tests = shippedFlows().flatMap(({ flow }) => {
      const coverage = new Coverage(flow);
      return flow.tests.map((test) => ({ flow, test, coverage }));
    });
    let next = 0;
    const runOne = async () => {
      const asked = tests[next % tests.length];
      next += 1;
      if (asked === undefined) throw new Error('The shipped flows hold no tests.');
      if (!runFlowTest(asked.flow, asked.test, asked.coverage).passed)
        throw new Error(`Test "${asked.test.name}" of flow ${asked.flow.metadata.name} fails.`);
    };
    ground.say('flow tests: measuring');
    await perSecond({ times, lanes: 1 }, runOne);
    const rates: number[] = [];
    for (let round = 0; round < count; round += 1) rates.push(await perSecond({ times, lanes: 1 }, runOne));
    return [
      {
        what: `tests of flows, the ${tests.length} that are shipped`,
        value: median(rates),
        unit: '/s',
        subject: `${rounded(1_000_000 / median(rates))} µs each`,
        baseline: 'none',
        spread: { lowest: Math.min(...rates), highest: Math.max(...rates), rounds: rates.length },
      },
    ];
  },
};
