import { randomUUID } from 'node:crypto';
import { workflowIdOf } from '../../contracts/names.ts';
import type { TestInstallation } from '../../test/setup/installation.ts';
import { newAgent, openedStepUp, stepUpOrder } from '../../test/setup/stepUps.ts';
import { bareClient, bareEffects, startBareWorker } from '../bare/worker.ts';
import type { Finding } from '../finding.ts';
import { rounded } from '../finding.ts';
import { benchInstallation } from '../installation.ts';
import { compared, inTurns, perSecond, rounds } from '../rounds.ts';
import type { Row } from '../row.ts';

const what = 'grants of low risk, from the update that opens to the end of the workflow';

/**
 * Grants of low risk by the shipped flow (risk, policy, the grant, its evidence) against bare workflows with the same 8
 * events, whose one local activity is one INSERT. No token is made on either side: the API signs it after.
 */
export const stepUpGrants: Row = {
  name: 'step-up-grants',
  group: 'step-up',
  dependsOnServer: true,
  async run(ground, size): Promise<readonly Finding[]> {
    const installation = await benchInstallation(ground);
    const { issuer, store, place } = installation;
    const stops = [await installation.startWorker(), await startBareWorker(place, bareEffects({ issuer, store }))];
    const bare = await bareClient(place);
    const { count, times, lanes } =
      size === 'full' ? { count: 5, times: 120, lanes: 8 } : { count: 1, times: 2, lanes: 2 };
    // Of one agent one is granted at a time, under its lock: each lane has its own.
    const agents = await Promise.all(Array.from({ length: lanes }, () => newAgent(installation)));
    try {
      const pairs = await rounds({ count, say: ground.say, what }, (index) =>
        inTurns(
          index,
          async () => {
            let asked = 0;
            return {
              rate: await perSecond({ times, lanes }, () => granted(installation, agents[asked++ % lanes] ?? '')),
            };
          },
          async () => ({ rate: await perSecond({ times, lanes }, () => bare.grant(randomUUID())) }),
        ),
      );
      const { ratio, spread, subject, baseline } = compared(pairs, 'rate');
      const figures = { subject: `${rounded(subject)}/s`, baseline: `bare workflow: ${rounded(baseline)}/s`, spread };
      return [{ what, value: ratio, unit: '×', ...figures }];
    } finally {
      await bare.close();
      await Promise.all(stops.map((stop) => stop()));
      await installation.close();
    }
  },
};

async function granted(installation: TestInstallation, agent: string): Promise<void> {
  const { requestId, plan } = await openedStepUp(installation, stepUpOrder(agent));
  if (plan.state !== 'completed') throw new Error(`Step-up ${requestId} is ${plan.state}: the row measures grants.`);
  await installation.client.workflow.getHandle(workflowIdOf('step-up', requestId)).result();
}
