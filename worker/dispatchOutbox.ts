import { setTimeout as wait } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { WorkflowStarts } from '../activities/lifecycle.ts';
import type { Ledger } from '../ledger/client.ts';
import { requestsOfFreeze } from '../ledger/freezes.ts';
import { type ClaimedMessage, claimMessages, markDelivered, markFailed } from '../ledger/outbox.ts';
import { findTarget } from '../ledger/requests.ts';

export interface Dispatch {
  readonly ledger: Pick<Ledger, 'prisma'>;
  readonly starts: WorkflowStarts;
  readonly logger: Logger;
  readonly intervalMs: number;
  readonly signal: AbortSignal;
}

const batchSize = 100;

/**
 * Delivers the outbox until `signal` aborts, at least once each: nudges to workflows; notifications to the log, until a
 * channel for them is configured. A message that fails comes back with backoff and keeps its error for operators.
 */
export async function dispatchOutbox(dispatch: Dispatch): Promise<void> {
  const { ledger, logger, intervalMs, signal } = dispatch;
  while (!signal.aborted) {
    let handled = 0;
    try {
      const messages = await claimMessages(ledger, ['nudge', 'nudge-frozen', 'notify'], batchSize);
      handled = messages.length;
      for (const message of messages) await deliver(dispatch, message);
    } catch (error) {
      logger.error({ err: error }, 'the outbox cannot be read; it is tried again');
    }
    if (handled < batchSize) await wait(intervalMs, undefined, { signal }).catch(() => undefined);
  }
}

async function deliver({ ledger, starts, logger }: Dispatch, { id, payload }: ClaimedMessage): Promise<void> {
  try {
    if (payload.kind === 'notify') {
      const { requestId, to, about } = payload;
      logger.info({ requestId, to, about }, 'notification');
    } else if (payload.kind === 'nudge') {
      await nudge(ledger, starts, payload.requestId);
    } else {
      await nudgeAll(ledger, starts, payload.freezeId);
    }
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

async function nudge(ledger: Pick<Ledger, 'prisma'>, starts: WorkflowStarts, requestId: string): Promise<void> {
  await starts.nudge(await findTarget(ledger, requestId), requestId);
}

async function nudgeAll(ledger: Pick<Ledger, 'prisma'>, starts: WorkflowStarts, freezeId: string): Promise<void> {
  let afterRequestId = '';
  for (;;) {
    const requestIds = await requestsOfFreeze(ledger, { freezeId, afterRequestId, limit: batchSize });
    for (const requestId of requestIds) await nudge(ledger, starts, requestId);
    const last = requestIds.at(-1);
    if (last === undefined) return;
    afterRequestId = last;
  }
}
