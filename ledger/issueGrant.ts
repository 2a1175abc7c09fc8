import type { Change } from '../domain/flow/changes.ts';
import type { Transaction } from './client.ts';

/**
 * The row of a grant. PostgreSQL keeps it so that a request has one at most, and that nothing of it changes but that it is
 * revoked.
 */
export async function issueGrant(
  tx: Transaction,
  { requestId, identityId, now }: { readonly requestId: string; readonly identityId: string; readonly now: Date },
  { change: _change, grantId, expiresAt, ...asked }: Extract<Change, { change: 'grant' }>,
): Promise<void> {
  await tx.accessGrant.create({
    data: { ...asked, id: grantId, requestId, identityId, issuedAt: now, expiresAt: new Date(expiresAt) },
    select: { id: true },
  });
}
