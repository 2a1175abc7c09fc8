import type { RequestTarget } from '../domain/flow/open.ts';
import { RequestMissing } from './advance.ts';
import type { Ledger } from './client.ts';
import { targetOf } from './requestTarget.ts';

/** Whose workflow drives a request. @throws RequestMissing */
export async function findTarget({ direct }: Pick<Ledger, 'direct'>, requestId: string): Promise<RequestTarget> {
  const [request] = await direct.$queryRaw<{ id: string; kind: string; identityId: string | null }[]>`
    SELECT "id", "kind", "identityId" FROM "request" WHERE "id" = ${requestId}`;
  if (request === undefined) throw new RequestMissing(requestId);
  return targetOf(request);
}
