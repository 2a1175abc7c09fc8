import type { OpenOrder, OpenResult } from '../contracts/open.ts';
import { keyedId } from '../domain/ids.ts';
import type { KeyedCall } from '../ledger/idempotency.ts';
import type { Principal } from './auth/principal.ts';
import { earlierCall } from './keyedCall.ts';
import { nudgeByOutbox } from './nudge.ts';
import type { ApiDependencies } from './ports.ts';
import { Problem, refusalProblem, unavailable } from './problem.ts';

type Keyed = Pick<ApiDependencies, 'ledger'>;

type Ask = Omit<
  OpenOrder,
  'requestId' | 'principal' | 'principalKind' | 'onBehalfOf' | 'idempotencyKey' | 'bodyDigest'
>;

/** The order for a request of this principal on an identity. */
export function orderFor(deps: Keyed, call: KeyedCall, principal: Principal, ask: Ask): OpenOrder {
  return { ...ask, ...askedBy(deps, call, principal) };
}

/**
 * Who asks, and by which key; the request's id follows from the principal and the key alone. What an earlier release opened under
 * them is found by the key before any order is carried out (`openRequest`).
 */
export function askedBy(
  { ledger }: Keyed,
  call: KeyedCall,
  principal: Principal,
): Pick<OpenOrder, 'requestId' | 'principal' | 'principalKind' | 'onBehalfOf' | 'idempotencyKey' | 'bodyDigest'> {
  return {
    requestId: keyedId(ledger.evidence.personKey, 'request', call),
    principal: principal.id,
    principalKind: principal.kind,
    ...(principal.onBehalfOf === undefined ? {} : { onBehalfOf: principal.onBehalfOf }),
    idempotencyKey: call.key,
    bodyDigest: call.bodyDigest,
  };
}

/**
 * Opens a request by `way` (the workflow, or for responders the ledger alone), which may refuse with a Problem of its own
 * before anything is sent. A repeat finds the first call's request,
 * also after it closed; when the outcome is unknown the ledger is asked whether it was opened after all.
 * @returns the id of the request: the new one, the one of the first call, or the running one that was joined
 * @throws Problem: the refusal, `key-reused`, or `unavailable`
 */
export async function openRequest(
  deps: Pick<ApiDependencies, 'ledger'>,
  call: KeyedCall,
  way: () => Promise<OpenResult>,
): Promise<string> {
  const earlier = await earlierCall(deps, call);
  if (earlier.kind === 'same' && earlier.requestId !== undefined) return earlier.requestId;
  const result = await attempt(deps, call, way);
  if (typeof result === 'string') return result;
  if (result.opened) return result.requestId;
  throw refusalProblem(
    result,
    result.runningRequestId === undefined ? {} : { runningRequestId: result.runningRequestId },
  );
}

async function attempt(
  deps: Pick<ApiDependencies, 'ledger'>,
  call: KeyedCall,
  way: () => Promise<OpenResult>,
): Promise<OpenResult | string> {
  try {
    return await way();
  } catch (cause) {
    if (cause instanceof Problem) throw cause;
    const opened = await earlierCall(deps, call);
    if (opened.kind !== 'same' || opened.requestId === undefined) throw unavailable(cause);
    await nudgeByOutbox(deps, opened.requestId);
    return opened.requestId;
  }
}
