import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { Flow } from './language.ts';

/**
 * The name of a flow's version: SHA-256 (64 hex digits) of its RFC 8785 form.
 *
 * It covers the whole parsed flow, tests, description and filled-in defaults included: reviewers see exactly one thing, and
 * what they saw is what has the digest. Comments, key order and layout of the file do not count.
 * @throws TypeError when `flow` is not plain JSON (an undefined field would vanish from the canonical form unseen)
 */
export function flowDigest(flow: Flow): string {
  refuseUndefined(flow, 'flow');
  const canonical = canonicalize(flow);
  if (canonical === undefined) throw new TypeError('A flow is a JSON object; this is not.');
  return createHash('sha256').update(canonical, 'utf8').digest('hex');
}

function refuseUndefined(value: unknown, path: string): void {
  if (value === undefined) throw new TypeError(`${path} is undefined: leave the field out, or give it a value.`);
  if (typeof value !== 'object' || value === null) return;
  for (const [key, entry] of Object.entries(value)) refuseUndefined(entry, `${path}.${key}`);
}
