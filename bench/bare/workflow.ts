import {
  allHandlersFinished,
  CancellationScope,
  condition,
  defineUpdate,
  isCancellation,
  proxyActivities,
  proxyLocalActivities,
  setHandler,
  sleep,
} from '@temporalio/workflow';
import { type BareLocalActivities, type BareRemoteActivities, decideUpdate, openUpdate } from './names.ts';

/**
 * What somebody would write who wants the events of an onboarding and nothing else: no ledger, no flow, no evidence, no
 * proof of anything. The yardstick of the bench: same updates, timer, local and remote activities, in the same order.
 */

const { insert } = proxyLocalActivities<BareLocalActivities>({ startToCloseTimeout: '5 seconds' });
const { create, promote } = proxyActivities<BareRemoteActivities>({
  startToCloseTimeout: '20 seconds',
  retry: { initialInterval: '500 milliseconds' },
});

const open = defineUpdate<{ sequence: number }, [{ identityId: string; approvals: number }]>(openUpdate);
const decide = defineUpdate<{ sequence: number }, [{ by: string }]>(decideUpdate);

export async function bareOnboarding(): Promise<void> {
  let order: { identityId: string; approvals: number } | undefined;
  let approvals = 0;

  setHandler(open, async (asked) => {
    const result = await insert({ identityId: asked.identityId, what: 'open' });
    order = asked;
    return result;
  });
  setHandler(decide, async ({ by }) => {
    const result = await insert({ identityId: order?.identityId ?? '', what: `decision by ${by}` });
    approvals += 1;
    return result;
  });

  await condition(() => order !== undefined);
  const { identityId, approvals: wanted } = order ?? { identityId: '', approvals: 0 };
  if (wanted > 0) await decidedWithinADay(() => approvals >= wanted);
  await create({ identityId });
  await insert({ identityId, what: 'created' });
  await promote({ identityId });
  await insert({ identityId, what: 'promoted' });
  await condition(allHandlersFinished);
}

/** The events of a grant of low risk: one update, and one local activity in it. */
export async function bareGrant(): Promise<void> {
  let isGranted = false;
  setHandler(open, async ({ identityId }) => {
    const result = await insert({ identityId, what: 'grant' });
    isGranted = true;
    return result;
  });
  await condition(() => isGranted);
  await condition(allHandlersFinished);
}

async function decidedWithinADay(isDecided: () => boolean): Promise<void> {
  const deadline = new CancellationScope();
  const late = deadline
    .run(() => sleep('1 day'))
    .catch((error: unknown) => {
      if (!isCancellation(error)) throw error;
    });
  await Promise.race([condition(isDecided), late]);
  deadline.cancel();
  await late;
}
