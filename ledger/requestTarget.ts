import type { OpenOrder, RequestTarget } from '../domain/flow/open.ts';

/** Whose workflow drives this row's request. PostgreSQL keeps it so that only publications are about no identity. */
export function targetOf({
  id,
  kind,
  identityId,
}: {
  id: string;
  kind: string;
  identityId: string | null;
}): RequestTarget {
  if (kind === 'step-up') return { kind, requestId: id };
  if (identityId === null) return { kind: 'publication', requestId: id };
  return { kind: kind as OpenOrder['kind'], identityId };
}
