import { createHash } from 'node:crypto';
import type { OpenOrder } from './flow/open.ts';
import { idFromKey } from './ids.ts';

/**
 * Who orders a request and by which key, where no client sent one: the key itself tells the call from every other. The same
 * principal and key name the same request, however often it is ordered.
 */
export function ownKey(
  principal: string,
  key: string,
): Pick<OpenOrder, 'requestId' | 'principal' | 'idempotencyKey' | 'bodyDigest'> {
  return {
    requestId: idFromKey('request', { principal, key }),
    principal,
    idempotencyKey: key,
    bodyDigest: createHash('sha256').update(key).digest('hex'),
  };
}
