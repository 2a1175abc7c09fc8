import { insertNewRow } from './rows.ts';
import type { Statements } from './statements.ts';

/** One write of one principal, named by its Idempotency-Key. */
export interface KeyedCall {
  readonly principal: string;
  readonly key: string;
  readonly operation: string;
  /** SHA-256 (hex) of the canonical body with the operation and its target. */
  readonly bodyDigest: string;
}

export type EarlierCall =
  | { readonly kind: 'none' }
  | { readonly kind: 'same'; readonly requestId: string | undefined }
  /** The key names another call: it is never carried out under this key. */
  | { readonly kind: 'other' };

/** What this principal's key already stands for. */
export async function findCall(tx: Statements, { principal, key, bodyDigest }: KeyedCall): Promise<EarlierCall> {
  const [call] = await tx.$queryRaw<{ bodyDigest: string; requestId: string | null }[]>`
    SELECT "bodyDigest", "requestId" FROM "idempotent_call" WHERE "principal" = ${principal} AND "key" = ${key}`;
  if (call === undefined) return { kind: 'none' };
  return call.bodyDigest === bodyDigest ? { kind: 'same', requestId: call.requestId ?? undefined } : { kind: 'other' };
}

/**
 * Binds the key to this call before it is carried out; the first call with a key wins, whatever its outcome. What then
 * makes a repeat harmless is the command's own id, which is made from the same principal and key.
 * @returns `none` when the key is bound now for the first time
 */
export async function claimCall(tx: Statements, call: KeyedCall): Promise<EarlierCall> {
  const isNew = await insertNewRow(tx, 'idempotent_call', { ...call });
  return isNew ? { kind: 'none' } : await findCall(tx, call);
}
