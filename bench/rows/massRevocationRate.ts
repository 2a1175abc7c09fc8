import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { workflowIdOf } from '../../contracts/names.ts';
import { idFromKey } from '../../domain/ids.ts';
import { openFreeze } from '../../ledger/freezes.ts';
import { startMassRevocation } from '../../ledger/massRevocations.ts';
import type { TestInstallation } from '../../test/setup/installation.ts';
import { onboardingOrder, opened } from '../../test/setup/orders.ts';
import { rounded } from '../finding.ts';
import { benchInstallation } from '../installation.ts';
import { compared, inTurns, perSecond, rounds, timed } from '../rounds.ts';
import type { Row } from '../row.ts';

/** Under way at once, on both sides. No other limit: what is asked is what Tenure can do, not what it was told to. */
const lanes = 8;

/**
 * How fast a mass revocation takes credentials away (from its order until the issuer has confirmed every destroy with a
 * receipt in the ledger), against the same issuer called directly: destroy, then retire the identity.
 */
export const massRevocationRate: Row = {
  name: 'mass-revocation',
  dependsOnServer: false,
  async run(ground, size) {
    const { count, times } = size === 'full' ? { count: 3, times: 32 } : { count: 1, times: 2 };
    const installation = await benchInstallation(ground, {
      // So short that it has ended before the revocation, which would otherwise wait for it to look once more.
      leaseMs: 8_000,
      paceOf: () => ({ concurrency: lanes, perSecond: 10_000 }),
    });
    const stopWorker = await installation.startWorker();
    try {
      const pairs = await rounds({ count, say: ground.say, what: 'mass revocation' }, (index) =>
        inTurns(
          index,
          async () => ({ rate: await massRevoked(installation, times) }),
          async () => ({ rate: await destroyedDirectly(installation, times) }),
        ),
      );
      const { ratio, spread, subject, baseline } = compared(pairs, 'rate');
      return [
        {
          what: `a mass revocation of ${times} identities, ${lanes} at once`,
          value: ratio,
          unit: '×',
          subject: `${rounded(subject)}/s`,
          baseline: `the issuer alone: ${rounded(baseline)}/s`,
          spread,
        },
      ];
    } finally {
      await stopWorker();
      await installation.close();
    }
  },
};

async function massRevoked(installation: TestInstallation, times: number): Promise<number> {
  const { ledger } = installation;
  const integration = `incident-${randomUUID().slice(0, 8)}`;
  await perSecond({ times, lanes }, () => onboarded(installation, integration));
  await untilCount(() => leasesOpen(installation), 0);

  const by = 'responder@tenure.example';
  const freezeId = idFromKey('freeze', { principal: by, key: randomUUID() });
  await openFreeze(ledger, { id: freezeId, integrations: [integration], reason: 'the bench', by });
  const tookMs = await timed(async () => {
    const order = { id: randomUUID(), freezeId, by, reason: 'the bench', confirmed: times };
    const start = await startMassRevocation(ledger, order);
    if (!start.started) throw new Error(start.detail);
    await untilCount(
      () => ledger.prisma.credential.count({ where: { identity: { integration }, state: 'destroyed' } }),
      times,
    );
  });
  return (times * 1000) / tookMs;
}

async function onboarded(installation: TestInstallation, integration: string): Promise<void> {
  const { identityId } = await opened(installation, onboardingOrder({ integration }));
  await installation.client.workflow.getHandle(workflowIdOf('onboarding', identityId)).result();
}

async function leasesOpen({ ledger }: TestInstallation): Promise<number> {
  const [row] = await ledger.prisma.$queryRaw<{ open: number }[]>`
    SELECT count(*)::int AS "open" FROM "credential" WHERE "state" = 'current' AND "leaseEndsAt" > clock_timestamp()`;
  return row?.open ?? 0;
}

/** Asks often enough to add little to what is measured, and seldom enough not to be the load. */
async function untilCount(count: () => Promise<number>, wanted: number): Promise<void> {
  while ((await count()) !== wanted) await wait(20);
}

/** Credentials made by the issuer for nobody, then destroyed as Tenure's effect does it. */
async function destroyedDirectly({ issuer }: TestInstallation, times: number): Promise<number> {
  const identityIds = Array.from({ length: times }, () =>
    idFromKey('identity', { principal: 'bench', key: randomUUID() }),
  );
  for (const identityId of identityIds) {
    const handle = `${identityId}-v1`;
    const validUntil = new Date(Date.now() + 600_000);
    await issuer.create({
      handle,
      identityId,
      secret: await issuer.generateSecret({ handle }),
      scopes: [],
      validUntil,
    });
  }
  return perSecond({ times, lanes }, async () => {
    const identityId = identityIds.pop();
    if (identityId === undefined) throw new RangeError('Fewer credentials were made than are to be destroyed.');
    await issuer.destroy({ handle: `${identityId}-v1`, identityId });
    await issuer.retireIdentity({ identityId });
  });
}
