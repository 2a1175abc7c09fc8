import type { RequestTarget } from '../contracts/open.ts';
import { findIdentity, type IdentityRow } from '../ledger/queries/identities.ts';
import { findRequest, type RequestSituation } from '../ledger/queries/requests.ts';
import { mayDo } from './auth/pipelines.ts';
import type { Principal } from './auth/principal.ts';
import type { ApiDependencies } from './ports.ts';
import { notFound, Problem } from './problem.ts';

/**
 * People of the directory see every identity and request (there is no secret in them); a pipeline sees those that it may
 * rotate, reads, or asked for; an agent sees itself and its own requests. What is not visible is not there.
 */
export async function visibleIdentity(
  { ledger }: Pick<ApiDependencies, 'ledger'>,
  principal: Principal,
  id: string,
): Promise<IdentityRow> {
  const identity = await findIdentity(ledger.prisma, id);
  if (identity === undefined || !seesIdentity(principal, identity)) throw notFound('identity', id);
  return identity;
}

function seesIdentity(
  principal: Principal,
  identity: Pick<IdentityRow, 'id' | 'integration' | 'name' | 'consumers'>,
): boolean {
  return (
    principal.kind === 'person' ||
    identity.id === principal.identityId ||
    identity.consumers.some((id) => principal.ids.includes(id)) ||
    mayDo('rotate', principal.may ?? [], identity)
  );
}

export async function visibleRequest(
  { ledger }: Pick<ApiDependencies, 'ledger'>,
  principal: Principal,
  id: string,
): Promise<RequestSituation> {
  const request = await findRequest(ledger, id);
  if (request === undefined || !seesRequest(principal, request)) throw notFound('request', id);
  return request;
}

function seesRequest(principal: Principal, request: RequestSituation): boolean {
  return (
    principal.kind === 'person' ||
    request.parties.requesters.some((id) => principal.ids.includes(id)) ||
    (request.identity !== null && seesIdentity(principal, request.identity))
  );
}

/** Requests of other kinds have no workflow yet; meeting one here is a fault of ours. */
export function workflowOf({ id, review, identityId }: RequestSituation): RequestTarget {
  const { kind } = review;
  if (kind === 'publication' || kind === 'step-up') return { kind, requestId: id };
  const isDriven = kind === 'onboarding' || kind === 'rotation' || kind === 'revocation' || kind === 'review';
  if (isDriven && identityId !== null) return { kind, identityId };
  throw new Problem('internal', `Request ${id} is of kind ${kind}, which no workflow drives.`);
}
