import type { Principal } from './auth/principal.ts';
import { visibleRequest } from './findVisible.ts';
import type { ApiDependencies } from './ports.ts';
import { requestBody } from './representations/request.ts';

/** The answer of every route that opens a request: how it stands, and where to follow it. */
export async function openedReply(deps: ApiDependencies, principal: Principal, requestId: string) {
  return {
    body: requestBody(await visibleRequest(deps, principal, requestId), principal),
    headers: { Location: `/v1/requests/${requestId}` },
  };
}
