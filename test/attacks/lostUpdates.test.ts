import { createSecretKey, randomBytes, randomUUID } from 'node:crypto';
import {
  type WorkflowClientInterceptor,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
import { ApplicationFailure, defaultPayloadConverter } from '@temporalio/common';
import { afterEach, expect, test } from 'vitest';
import { type TemporalGateway, temporalGateway } from '../../api/temporalGateway.ts';
import { dataConverter } from '../../configuration/dataConverter.ts';
import { payloadKey, payloadKeys } from '../../configuration/payloadKeys.ts';
import type { SignedDecision } from '../../contracts/events.ts';

/** Temporal loses updates (twenty decisions at once were enough); whoever decided is not told of it while all is up. */

let gateway: TemporalGateway | undefined;
afterEach(async () => {
  await gateway?.close();
  gateway = undefined;
});

type Update = NonNullable<WorkflowClientInterceptor['startUpdateWithStart']>;

/** A gateway whose updates are answered by `answers`, one after the other, before anything is sent. */
function answeredBy(...answers: (() => Promise<unknown>)[]) {
  const updateIds: (string | undefined)[] = [];
  const startUpdateWithStart = (async ({ updateOptions: { updateId } }: Parameters<Update>[0]) => {
    updateIds.push(updateId);
    const answer = answers[updateIds.length - 1];
    if (answer === undefined) throw new Error('asked more often than twice');
    const outcome = await answer();
    return {
      workflowExecution: { workflowId: 'rotation/1', runId: 'run' },
      updateId: updateId ?? '',
      updateOutcome: { success: { payloads: [defaultPayloadConverter.toPayload(outcome)] } },
    };
  }) as unknown as Update;
  gateway = temporalGateway({
    namespace: 'default',
    connectionOptions: { address: '127.0.0.1:1' },
    dataConverter: { ...converter, payloadCodecs: [] },
    interceptors: { workflow: [{ startUpdateWithStart }] },
  });
  const identityId = randomUUID();
  const decision = { requestId: 'request', id: 'decision' } as SignedDecision;
  return { updateIds, decided: gateway.decide({ kind: 'rotation', identityId }, decision) };
}

const converter = dataConverter(payloadKeys(payloadKey(createSecretKey(randomBytes(32)))));
const lost = () => Promise.reject(new WorkflowUpdateRPCTimeoutOrCancelledError('lost'));
const answered = async () => ({ verdict: { accepted: true } });
const failedBy = (type: string) => () =>
  Promise.reject(
    new WorkflowUpdateFailedError('failed', ApplicationFailure.create({ message: 'failed', type, nonRetryable: true })),
  );

test.each([
  ['failed on the way', lost],
  ['fell into the end of a run', failedBy('AcceptedUpdateCompletedWorkflow')],
  ['is never answered', () => new Promise(() => undefined)],
])('a decision that %s is sent once more, under another update id, and its verdict arrives', async (_what, first) => {
  const { updateIds, decided } = answeredBy(first, answered);
  expect(await decided).toEqual({ verdict: { accepted: true } });
  expect(new Set(updateIds).size).toBe(2);
});

test('what is lost twice is told as lost: nothing is repeated without end', async () => {
  const { updateIds, decided } = answeredBy(lost, lost, answered);
  await expect(decided).rejects.toThrow('lost');
  expect(updateIds).toHaveLength(2);
});

test('what the workflow itself refused is not sent again', async () => {
  const { updateIds, decided } = answeredBy(failedBy('Refused'), answered);
  await expect(decided).rejects.toThrow('failed');
  expect(updateIds).toHaveLength(1);
});
