import { randomUUID } from 'node:crypto';
import { workflowIdOf } from '../../contracts/names.ts';
import { idFromKey } from '../../domain/ids.ts';
import type { TestInstallation } from '../../test/setup/installation.ts';
import { onboardingOrder, opened, signedDecision } from '../../test/setup/orders.ts';
import { repeated } from '../../test/setup/repeated.ts';
import { noIssuance, noStorage } from '../bare/noEffects.ts';
import { bareClient, bareEffects, startBareWorker } from '../bare/worker.ts';
import type { Finding } from '../finding.ts';
import { rounded } from '../finding.ts';
import type { Ground } from '../ground.ts';
import { benchInstallation } from '../installation.ts';
import { compared, inTurns, perSecond, rounds } from '../rounds.ts';
import type { Row, Size } from '../row.ts';

const approvers = ['security-1@tenure.example', 'security-2@tenure.example'] as const;

/**
 * Complete onboardings of production service accounts (two signed approvals, a deadline, create, promote) against bare
 * workflows with the same 36 events, in which every local activity is one INSERT. Once with issuer and store on both sides,
 * once without them on both: the second shows Tenure's own layer alone.
 */
export const onboardingThroughput: Row = {
  name: 'onboarding-throughput',
  dependsOnServer: true,
  async run(ground, size) {
    return [
      await measure(ground, size, {
        what: 'complete onboardings, issuer and store at work on both sides',
        hasEffects: true,
      }),
      await measure(ground, size, {
        what: 'complete onboardings, no issuer and no store on either side',
        hasEffects: false,
      }),
    ];
  },
};

async function measure(
  ground: Ground,
  size: Size,
  { what, hasEffects }: { what: string; hasEffects: boolean },
): Promise<Finding> {
  const installation = await benchInstallation(
    ground,
    hasEffects ? {} : { wrapIssuer: noIssuance, wrapStore: noStorage },
  );
  const { issuer, store } = installation;
  const effects = bareEffects(hasEffects ? { issuer, store } : { issuer: noIssuance(issuer), store: noStorage(store) });
  const stops = [await installation.startWorker(), await startBareWorker(installation.place, effects)];
  const bare = await bareClient(installation.place);
  try {
    const { count, times, lanes } =
      size === 'full' ? { count: 5, times: 40, lanes: 8 } : { count: 1, times: 2, lanes: 2 };
    const pairs = await rounds({ count, say: ground.say, what }, (index) =>
      inTurns(
        index,
        async () => ({ rate: await perSecond({ times, lanes }, () => onboarded(installation)) }),
        async () => ({ rate: await perSecond({ times, lanes }, () => bareOnboarded(bare)) }),
      ),
    );
    const { ratio, spread, subject, baseline } = compared(pairs, 'rate');
    return {
      what,
      value: ratio,
      unit: '×',
      ...(hasEffects ? { budget: { is: 'at least', value: 0.9 } } : {}),
      subject: `${rounded(subject)}/s`,
      baseline: `bare workflow: ${rounded(baseline)}/s`,
      spread,
    };
  } finally {
    await bare.close();
    await Promise.all(stops.map((stop) => stop()));
    await installation.close();
  }
}

async function onboarded(installation: TestInstallation): Promise<void> {
  const { requestId, identityId } = await opened(installation, onboardingOrder({ environment: 'production' }));
  for (const by of approvers) {
    const decision = await signedDecision(installation, { requestId, by });
    // As a client does whose answer did not come: the same decision, again.
    await repeated(() => installation.gateway.decide({ kind: 'onboarding', identityId }, decision), 3);
  }
  await installation.client.workflow.getHandle(workflowIdOf('onboarding', identityId)).result();
}

async function bareOnboarded(bare: Awaited<ReturnType<typeof bareClient>>): Promise<void> {
  const identityId = idFromKey('identity', { principal: 'bench', key: randomUUID() });
  await bare.open({ identityId, approvals: approvers.length });
  for (const by of approvers) await bare.decide({ identityId, by });
  await bare.ended(identityId);
}
