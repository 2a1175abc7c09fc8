import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  Client,
  type ClientInterceptors,
  Connection,
  WithStartWorkflowOperation,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
} from '@temporalio/client';
import { ApplicationFailure, type DataConverter } from '@temporalio/common';
import type { TemporalConnection } from '../configuration/temporalConnection.ts';
import type { AdvanceResult, SignedDecision } from '../contracts/events.ts';
import {
  decideUpdate,
  nudgeSignal,
  openUpdate,
  taskQueue,
  workflowIdOfTarget,
  workflowTypeOf,
} from '../contracts/names.ts';
import type { OpenResult, RequestOrder, RequestTarget } from '../contracts/open.ts';
import type { RequestGateway } from './ports.ts';

/** After this the outcome is unknown and the caller is told so; the update may still commit, and the nudge then drives it. */
const deadlineMs = 5_000;
/** An update that is answered at all is answered sooner, unless Temporal lost it. */
const patienceMs = 2_000;
const readinessDeadlineMs = 2_000;

/** gRPC waits up to two minutes between attempts to reconnect; safety and sign-off should not wait for that after an outage. */
const channelArgs = {
  'grpc.initial_reconnect_backoff_ms': 200,
  'grpc.min_reconnect_backoff_ms': 500,
  'grpc.max_reconnect_backoff_ms': 2_000,
};

export interface TemporalAccess extends TemporalConnection {
  /** Of `configuration/dataConverter.ts`: whoever has another cannot read us, nor we them. */
  readonly dataConverter: DataConverter;
  /** Of `observability/tracing.ts`; left out: nothing is traced. */
  readonly interceptors?: ClientInterceptors | undefined;
}

/**
 * A run whose workflow task has been tried so often will not get on by itself: its history does not replay. (One is tried
 * again for a worker that was lost, too; what such a run did not finish, the next one asks the ledger for.)
 */
const brokenAfterAttempts = 3;

export interface TemporalGateway extends RequestGateway {
  /**
   * Effect: as `nudge`, for a request that has long stood still; a run of its workflow that cannot go on is terminated
   * first, and another takes its place. Nothing is lost with it: the ledger knows where its requests stand, and every
   * effect is idempotent. Idempotent.
   */
  revive(target: RequestTarget, requestId: string): Promise<void>;
  close(): Promise<void>;
}

/**
 * The API's only way to Temporal. Nothing is connected before the first call, so the API starts and takes safety commands
 * while Temporal is down. Each attempt has an update id of its own: Temporal keeps even failures under an update id, and
 * deduplication is the ledger's. An update that Temporal loses is sent once more.
 */
export function temporalGateway({
  namespace,
  connectionOptions,
  dataConverter,
  interceptors,
}: TemporalAccess): TemporalGateway {
  const connection = Connection.lazy({ ...connectionOptions, channelArgs });
  const client = new Client({
    connection,
    namespace,
    dataConverter,
    ...(interceptors === undefined ? {} : { interceptors }),
  });

  function within<R>(milliseconds: number, call: () => Promise<R>): Promise<R> {
    return client.withDeadline(Date.now() + milliseconds, call);
  }

  function driver(target: RequestTarget) {
    return {
      workflowId: workflowIdOfTarget(target),
      taskQueue,
      args: [],
      workflowIdConflictPolicy: 'USE_EXISTING',
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    } as const;
  }

  function update<R>(target: RequestTarget, name: string, args: [unknown]): Promise<R> {
    const deadline = Date.now() + deadlineMs;
    return repeatedOnce(() =>
      client.withDeadline(deadline, () =>
        client.workflow.executeUpdateWithStart<RequestWorkflow, R, [unknown]>(name, {
          args,
          updateId: randomUUID(),
          startWorkflowOperation: new WithStartWorkflowOperation(workflowTypeOf(target.kind), driver(target)),
        }),
      ),
    );
  }

  async function nudge(target: RequestTarget, requestId: string): Promise<void> {
    await within(deadlineMs, () =>
      client.workflow.signalWithStart<RequestWorkflow, [string]>(workflowTypeOf(target.kind), {
        ...driver(target),
        signal: nudgeSignal,
        signalArgs: [requestId],
      }),
    );
  }

  async function terminateIfBroken(target: RequestTarget): Promise<void> {
    const latest = client.workflow.getHandle(workflowIdOfTarget(target));
    try {
      const { raw, runId } = await latest.describe();
      const attempt = raw.pendingWorkflowTask?.attempt ?? 0;
      if (attempt < brokenAfterAttempts) return;
      // This very run: by now another may have taken its place.
      const run = client.workflow.getHandle(workflowIdOfTarget(target), runId);
      await run.terminate(`its workflow task was tried ${attempt} times; another run goes on from the ledger`);
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    }
  }

  return {
    open: (order: RequestOrder) => update<OpenResult>(order, openUpdate, [order]),
    decide: (target: RequestTarget, decision: SignedDecision) =>
      update<AdvanceResult>(target, decideUpdate, [{ requestId: decision.requestId, decision }]),
    nudge,
    async revive(target, requestId) {
      await within(deadlineMs, () => terminateIfBroken(target));
      await nudge(target, requestId);
    },
    async isReachable(): Promise<boolean> {
      try {
        await within(readinessDeadlineMs, () => client.workflowService.describeNamespace({ namespace }));
        return true;
      } catch {
        // The answer is the point here; why it cannot be reached is in Temporal's own log.
        return false;
      }
    },
    close: () => connection.close(),
  };
}

/**
 * What Temporal has lost is sent once more: when it failed, or has long been silent. Every update here is idempotent by what
 * it carries, so whichever attempt answers first is right.
 * @throws what the last attempt throws; what the workflow itself refused is not sent again
 */
async function repeatedOnce<R>(attempt: () => Promise<R>): Promise<R> {
  const first = attempt();
  const patience = new AbortController();
  const silent = delay(patienceMs, true, { signal: patience.signal }).catch(() => true);
  const isLost = await Promise.race([first.then(() => false, isWorthRepeating), silent]);
  patience.abort();
  if (!isLost) return first;
  try {
    return await Promise.any([first, attempt()]);
  } catch (error) {
    throw error instanceof AggregateError ? error.errors.at(-1) : error;
  }
}

/** A run that ends while an update is on its way answers for the workflow, which has not seen it. */
function isWorthRepeating(error: unknown): boolean {
  if (!(error instanceof WorkflowUpdateFailedError)) return true;
  return error.cause instanceof ApplicationFailure && error.cause.type === 'AcceptedUpdateCompletedWorkflow';
}

/** All request workflows take no arguments: what they drive comes by update or signal, so a lost one can be started again by anyone. */
type RequestWorkflow = () => Promise<void>;
