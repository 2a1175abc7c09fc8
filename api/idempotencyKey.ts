import type { Request } from 'express';
import { invalidRequest, Problem } from './problem.ts';

const printable = /^[\x21-\x7e]{1,200}$/;

/**
 * The Idempotency-Key of a write: 1 to 200 printable ASCII characters without spaces, sent once.
 * With the principal it names the call for ever: a repeat with the same body gets the first call's answer.
 */
export function readIdempotencyKey(req: Request): string {
  const sent = req.headersDistinct['idempotency-key'] ?? [];
  const [key] = sent;
  if (key === undefined || key === '')
    throw new Problem(
      'key-required',
      'A write needs the header Idempotency-Key: a value of your own (a UUID, say), the same on every retry of this call.',
    );
  if (sent.length > 1 || !printable.test(key))
    throw invalidRequest([
      {
        field: 'header.idempotency-key',
        message: 'must be sent once, as 1 to 200 printable ASCII characters without spaces',
      },
    ]);
  return key;
}
