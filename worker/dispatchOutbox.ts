import { setTimeout as wait } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { WorkflowStarts } from '../activities/lifecycle.ts';
import type { Ledger } from '../ledger/client.ts';
import { requestsOfFreeze } from '../ledger/freezes.ts';
import { type ClaimedMessage, claimMessages, markDelivered, markFailed, type OutboxPayload } from '../ledger/outbox.ts';
import { reissueOrder } from '../ledger/reissue.ts';
import { ensureOrdered } from '../ledger/reissueOrders.ts';
import { findTarget } from '../ledger/requests.ts';
import { requireMayGoOn } from '../ledger/restore.ts';

export interface Dispatch {
  readonly ledger: Pick<Ledger, 'prisma' | 'direct'>;
  readonly starts: WorkflowStarts;
  readonly logger: Logger;
  readonly intervalMs: number;
  readonly signal: AbortSignal;
}

const batchSize = 100;
const messageKinds: readonly OutboxPayload['kind'][] = ['nudge', 'nudge-frozen', 'reissue', 'notify', 'notify-freeze'];

/**
 * Delivers the outbox until `signal` aborts, at least once each: nudges to workflows; notifications to the log, until a
 * channel for them is configured. A message that fails comes back with backoff and keeps its error for operators.
 */
export async function dispatchOutbox(dispatch: Dispatch): Promise<void> {
  const { ledger, logger, intervalMs, signal } = dispatch;
  while (!signal.aborted) {
    let handled = 0;
    try {
      const messages = await claimMessages(ledger, messageKinds, batchSize);
      handled = messages.length;
      for (const message of messages) await deliver(dispatch, message);
    } catch (error) {
      logger.error({ err: error }, 'the outbox cannot be read; it is tried again');
    }
    if (handled < batchSize) await wait(intervalMs, undefined, { signal }).catch(() => undefined);
  }
}

async function deliver(dispatch: Dispatch, { id, payload }: ClaimedMessage): Promise<void> {
  const { ledger, logger } = dispatch;
  try {
    await deliverPayload(dispatch, payload);
    await markDelivered(ledger, id);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    logger.warn(
      { messageId: String(id), kind: payload.kind, reason },
      'a message was not delivered; it is tried again',
    );
    await markFailed(ledger, id, reason);
  }
}

async function deliverPayload({ ledger, starts, logger }: Dispatch, payload: OutboxPayload): Promise<void> {
  switch (payload.kind) {
    case 'nudge':
      return nudge(ledger, starts, payload.requestId);
    case 'nudge-frozen':
      return nudgeAll(ledger, starts, payload.freezeId);
    case 'reissue':
      return reissue(ledger, starts, payload.requestId);
    case 'notify':
    case 'notify-freeze': {
      const { kind: _, ...notification } = payload;
      logger.info(notification, 'notification');
    }
  }
}

/**
 * What the rotation is refused for when nothing is left to issue to or nothing is owed, or when an agent that was rotated since
 * must bring the key: the order itself is still owed, and its owner is reminded by the lifecycle.
 */
const pointless = ['revoking', 'not-active', 'nothing-owed', 'registration-required'];

/** @throws when it cannot be opened yet, such as beside a rotation that has committed: it is asked for again */
async function reissue(ledger: Dispatch['ledger'], starts: WorkflowStarts, reviewRequestId: string): Promise<void> {
  await ensureOrdered(ledger, reviewRequestId);
  const result = await starts.open(await reissueOrder(ledger, reviewRequestId));
  if (!result.opened && !pointless.includes(result.slug))
    throw new Error(`The rotation that review ${reviewRequestId} asked for is refused: ${result.detail}`);
}

async function nudge(ledger: Dispatch['ledger'], starts: WorkflowStarts, requestId: string): Promise<void> {
  await requireMayGoOn(ledger, requestId);
  await starts.nudge(await findTarget(ledger, requestId), requestId);
}

async function nudgeAll(ledger: Dispatch['ledger'], starts: WorkflowStarts, freezeId: string): Promise<void> {
  let afterRequestId = '';
  for (;;) {
    const requestIds = await requestsOfFreeze(ledger, { freezeId, afterRequestId, limit: batchSize });
    for (const requestId of requestIds) await nudge(ledger, starts, requestId);
    const last = requestIds.at(-1);
    if (last === undefined) return;
    afterRequestId = last;
  }
}
