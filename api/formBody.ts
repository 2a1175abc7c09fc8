import type { RequestHandler } from 'express';
import { boundedBody } from './boundedBody.ts';
import { hasBody } from './jsonBody.ts';
import { invalidRequest, Problem } from './problem.ts';

const utf8Form = /^application\/x-www-form-urlencoded(?:\s*;\s*charset\s*=\s*"?utf-8"?)?\s*$/i;

/**
 * The body as a form of OAuth 2.0 (RFC 6749 appendix B, §3.2): a parameter without a value counts as left out, one that is
 * sent twice is refused. At most so large, uncompressed; any other media type is 415.
 */
export function formBody(limit: number): RequestHandler {
  return async (req, res, next) => {
    if (!hasBody(req)) return next();
    if (!utf8Form.test(req.headers['content-type'] ?? ''))
      throw new Problem(
        'unsupported-media-type',
        'The body must be a form in UTF-8. Send it with "Content-Type: application/x-www-form-urlencoded".',
      );
    req.body = parametersOf(await boundedBody(req, res, limit));
    next();
  };
}

/** @throws Problem `invalid-request` */
function parametersOf(text: string): Record<string, string> {
  const parameters = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(text)) {
    if (parameters.has(name))
      throw invalidRequest([{ field: 'body', message: 'names a parameter twice; send each of them once' }]);
    parameters.set(name, value);
  }
  return Object.fromEntries([...parameters].filter(([, value]) => value !== ''));
}
