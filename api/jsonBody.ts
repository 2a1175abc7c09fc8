import type { Request, RequestHandler } from 'express';
import { boundedBody } from './boundedBody.ts';
import { invalidRequest, Problem } from './problem.ts';

/** Of every route that does not say otherwise. */
export const largestBodyBytes = 64 * 1024;

/** RFC 8259 §8.1: JSON between systems is UTF-8. */
const utf8Json = /^application\/json(?:\s*;\s*charset\s*=\s*"?utf-8"?)?\s*$/i;

/** The body as JSON (an object or a list), at most so large, uncompressed; any other media type is 415. An absent body is left undefined. */
export function jsonBody(limit: number): RequestHandler {
  return async (req, res, next) => {
    if (!hasBody(req)) return next();
    if (!utf8Json.test(req.headers['content-type'] ?? ''))
      throw new Problem(
        'unsupported-media-type',
        'The body must be JSON in UTF-8. Send it with "Content-Type: application/json".',
      );
    req.body = parsed(await boundedBody(req, res, limit));
    next();
  };
}

function parsed(text: string): unknown {
  if (text === '') return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // What the parser says repeats what was sent.
  }
  throw invalidRequest([{ field: 'body', message: 'is not well-formed JSON (an object in UTF-8 is expected)' }]);
}

export function hasBody(req: Request): boolean {
  return req.headers['transfer-encoding'] !== undefined || (req.headers['content-length'] ?? '0') !== '0';
}

/** A client that accepts neither what is served nor JSON is told so before anything is done; a problem is JSON always. */
export function accepted(media: string): RequestHandler {
  return (req, _res, next) => {
    const { accept = '*/*' } = req.headers;
    if (accept !== '*/*' && req.accepts([media, 'application/problem+json']) === false)
      throw new Problem(
        'not-acceptable',
        `Only ${media} is served here. Send "Accept: ${media}", or no Accept at all.`,
      );
    next();
  };
}
