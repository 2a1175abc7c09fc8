import type { OpenOrder } from '../domain/flow/open.ts';
import { RequestMissing } from './advance.ts';
import type { Ledger } from './client.ts';

/** Whose workflow drives a request. @throws RequestMissing */
export async function findTarget(
  { prisma }: Pick<Ledger, 'prisma'>,
  requestId: string,
): Promise<{ kind: OpenOrder['kind']; identityId: string }> {
  const request = await prisma.request.findUnique({
    where: { id: requestId },
    select: { kind: true, identityId: true },
  });
  if (request === null) throw new RequestMissing(requestId);
  return { ...request, kind: request.kind as OpenOrder['kind'] };
}
