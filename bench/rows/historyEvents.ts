import { workflowIdOf } from '../../contracts/names.ts';
import { acknowledge } from '../../ledger/acknowledge.ts';
import { approvedFlow, plainFlows } from '../../test/protocols/flows.ts';
import { eventually } from '../../test/setup/eventually.ts';
import type { TestInstallation } from '../../test/setup/installation.ts';
import { interruptions } from '../../test/setup/interruptions.ts';
import { decide, onboardingOrder, opened, openOrder } from '../../test/setup/orders.ts';
import { leastEvents, type Shape } from '../../test/workflows/leastEvents.ts';
import type { Finding } from '../finding.ts';
import { benchInstallation } from '../installation.ts';
import type { Row } from '../row.ts';

/** The events of each shape of request against the least that it needs. Exact: `test/workflows/eventCounts.test.ts` asserts the same. */
export const historyEvents: Row = {
  name: 'history-events',
  dependsOnServer: false,
  async run(ground) {
    const faults = interruptions();
    const installation = await benchInstallation(ground, {
      flows: [...plainFlows, approvedFlow('onboarding')],
      leaseMs: 6_000,
      wrapStore: faults.wrapStore,
    });
    const stopWorker = await installation.startWorker();
    try {
      ground.say('history events: onboardings, with and without approvals');
      const plain = await onboarded(installation);
      const approved = await decided(installation, 'approve', ['security-1', 'security-2']);
      const denied = await decided(installation, 'deny', ['security-1']);
      ground.say('history events: a rotation, and a revocation after its lease');
      const rotation = await rotated(installation, await onboarded(installation));
      const revocation = await revokedAfterLease(installation, faults, plain);
      return [
        await finding(installation, 'an onboarding without approval', workflowIdOf('onboarding', plain), {
          remote: 2,
          local: 3,
        }),
        await finding(installation, 'an onboarding with two approvals and a deadline', approved, {
          remote: 2,
          local: 5,
          decisions: 2,
          timersCancelled: 1,
        }),
        await finding(installation, 'a denied onboarding', denied, { local: 2, decisions: 1, timersCancelled: 1 }),
        await finding(installation, 'a rotation that is acknowledged', rotation, {
          remote: 3,
          local: 5,
          timersCancelled: 1,
          nudges: 1,
        }),
        await finding(installation, 'a revocation after the lease', revocation, { remote: 2, local: 3 }),
      ];
    } finally {
      await stopWorker();
      await installation.close();
    }
  },
};

async function finding(
  { client }: TestInstallation,
  what: string,
  workflowId: string,
  shape: Partial<Shape>,
): Promise<Finding> {
  const handle = client.workflow.getHandle(workflowId);
  await handle.result();
  const { events } = await handle.fetchHistory();
  const [value, least] = [events?.length ?? 0, leastEvents(shape)];
  return {
    what: `history of ${what}`,
    value,
    unit: 'events',
    budget: { is: 'at most', value: least },
    subject: String(value),
    baseline: `the least for this shape: ${least}`,
  };
}

async function onboarded(installation: TestInstallation): Promise<string> {
  const { identityId } = await opened(installation, onboardingOrder());
  await installation.client.workflow.getHandle(workflowIdOf('onboarding', identityId)).result();
  return identityId;
}

async function decided(
  installation: TestInstallation,
  verdict: 'approve' | 'deny',
  approvers: readonly string[],
): Promise<string> {
  const { requestId, identityId } = await opened(installation, onboardingOrder({ environment: 'production' }));
  for (const name of approvers) await decide(installation, { requestId, by: `${name}@tenure.example`, verdict });
  return workflowIdOf('onboarding', identityId);
}

async function rotated(installation: TestInstallation, identityId: string): Promise<string> {
  const { requestId } = await opened(installation, openOrder('rotation', { identityId }));
  await eventually(async () => {
    const { state } = await installation.ledger.prisma.request.findUniqueOrThrow({ where: { id: requestId } });
    if (state !== 'awaiting-consumers') throw new Error(`Rotation ${requestId} is ${state} still.`);
  });
  await acknowledge(installation.ledger, { identityId, epoch: 2, consumer: 'pipeline:deploy' });
  return workflowIdOf('rotation', identityId);
}

/** Quarantine ends after the destroy is recorded, so that both come in sequence and the count is exact. */
async function revokedAfterLease(
  installation: TestInstallation,
  faults: ReturnType<typeof interruptions>,
  identityId: string,
): Promise<string> {
  const credential = () => installation.ledger.prisma.credential.findFirstOrThrow({ where: { identityId } });
  await eventually(async () => {
    const { leaseEndsAt } = await credential();
    if (leaseEndsAt.getTime() > Date.now()) throw new Error(`The lease of ${identityId} has not ended.`);
  }, 30_000);
  const quarantine = faults.hold('before quarantine', identityId);
  await opened(installation, openOrder('revocation', { identityId }));
  await eventually(async () => {
    if ((await credential()).receipt === null) throw new Error(`The destroy for ${identityId} is not recorded.`);
  });
  await quarantine.reached;
  quarantine.release();
  return workflowIdOf('revocation', identityId);
}
