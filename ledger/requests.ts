import type { RequestTarget } from '../domain/flow/open.ts';
import { RequestMissing } from './advance.ts';
import type { Ledger } from './client.ts';
import { targetOf } from './requestTarget.ts';

/** Whose workflow drives a request. @throws RequestMissing */
export async function findTarget({ prisma }: Pick<Ledger, 'prisma'>, requestId: string): Promise<RequestTarget> {
  const request = await prisma.request.findUnique({
    where: { id: requestId },
    select: { id: true, kind: true, identityId: true },
  });
  if (request === null) throw new RequestMissing(requestId);
  return targetOf(request);
}
