import type { Change } from '../domain/flow/changes.ts';
import { insertRow } from './rows.ts';
import type { Statements } from './statements.ts';

/**
 * The row of a grant. PostgreSQL keeps it so that a request has one at most, and that nothing of it changes but that it is
 * revoked.
 */
export function issueGrant(
  tx: Statements,
  { requestId, identityId, now }: { readonly requestId: string; readonly identityId: string; readonly now: Date },
  { change: _change, grantId, expiresAt, authenticatedAt, ...asked }: Extract<Change, { change: 'grant' }>,
): Promise<void> {
  const signedIn = authenticatedAt === undefined ? {} : { authenticatedAt: new Date(authenticatedAt) };
  const row = {
    ...asked,
    ...signedIn,
    id: grantId,
    requestId,
    identityId,
    issuedAt: now,
    expiresAt: new Date(expiresAt),
  };
  return insertRow(tx, 'access_grant', row);
}
