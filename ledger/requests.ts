import { RequestMissing } from './advance.ts';
import type { Ledger } from './client.ts';

/** Whose workflow drives a request. @throws RequestMissing */
export async function findTarget(
  { prisma }: Pick<Ledger, 'prisma'>,
  requestId: string,
): Promise<{ kind: 'onboarding' | 'rotation' | 'revocation'; identityId: string }> {
  const request = await prisma.request.findUnique({
    where: { id: requestId },
    select: { kind: true, identityId: true },
  });
  if (request === null) throw new RequestMissing(requestId);
  return { ...request, kind: request.kind as 'onboarding' | 'rotation' | 'revocation' };
}
