import express, { type Request, type RequestHandler } from 'express';
import { Problem } from './problem.ts';

/** Of every route that does not say otherwise. */
export const largestBodyBytes = 64 * 1024;

/** RFC 8259 §8.1: JSON between systems is UTF-8. */
const utf8Json = /^application\/json(?:\s*;\s*charset\s*=\s*"?utf-8"?)?\s*$/i;

/** The body as JSON, at most so large, uncompressed; any other media type is 415. An absent body is left undefined. */
export function jsonBody(limit: number): RequestHandler {
  const parse = express.json({ type: 'application/json', limit, strict: true, inflate: false });
  return (req, res, next) => {
    if (!hasBody(req)) return next();
    if (!utf8Json.test(req.headers['content-type'] ?? ''))
      throw new Problem(
        'unsupported-media-type',
        'The body must be JSON in UTF-8. Send it with "Content-Type: application/json".',
      );
    parse(req, res, next);
  };
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
