import type { OpenOrder, OpenResult } from '../domain/flow/open.ts';
import type { Ledger } from './client.ts';
import { openRequest, type Within } from './open.ts';

/**
 * A responder's revocation, Temporal up or down: request and transaction at once, in one commit. From then on nothing of
 * the identity is issued, promoted or served. The workflow, told by the outbox, does the rest. Idempotent by
 * (principal, Idempotency-Key).
 */
export async function revokeNow(
  ledger: Ledger,
  order: OpenOrder & { readonly kind: 'revocation' },
  within?: Within,
): Promise<OpenResult> {
  return openRequest(ledger, order, { atOnce: true, ...(within === undefined ? {} : { within }) });
}
