import type { Identity, Request } from '../prisma/generated/client.ts';
import type { Statements } from './statements.ts';
import { type AsJson, identityOf, requestOf } from './storedRows.ts';

/** What a step holds locked. */
export interface LockedRequest {
  readonly identity: Identity;
  readonly request: Request;
  /** Of the identity, not yet destroyed, by version. */
  readonly credentials: readonly LockedCredential[];
}

/** Of a credential what a step reads; instants as PostgreSQL writes them. */
export interface LockedCredential {
  readonly handle: string;
  readonly version: number;
  readonly state: string;
  readonly requestId: string;
  readonly leaseEndsAt: string;
  readonly expiresAt: string | null;
  readonly promotedEpoch: number | null;
  readonly receipt: unknown;
  /** Null where its issuer cannot tell, or tells of no use. */
  readonly lastUsedAt: string | null;
}

/**
 * Locks identity, request and credentials, always in this order, in one statement (the function `lock_request`): each is read
 * as it is once it is locked.
 * @returns undefined when there is no such request, or it is about no identity
 */
export async function lockRequest(tx: Statements, requestId: string): Promise<LockedRequest | undefined> {
  const [row] = await tx.$queryRaw<
    { identity: AsJson<Identity>; request: AsJson<Request>; credentials: LockedCredential[] }[]
  >`SELECT "identity", "request", "credentials" FROM "lock_request"(${requestId})`;
  if (row === undefined) return undefined;
  const { identity, request, credentials } = row;
  return { identity: identityOf(identity), request: requestOf(request), credentials };
}
