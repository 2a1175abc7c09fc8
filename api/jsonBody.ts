import express, { type Request, type RequestHandler } from 'express';
import { Problem } from './problem.ts';

export const largestBodyBytes = 64 * 1024;

const parse = express.json({ type: 'application/json', limit: largestBodyBytes, strict: true, inflate: false });

/** RFC 8259 §8.1: JSON between systems is UTF-8. */
const utf8Json = /^application\/json(?:\s*;\s*charset\s*=\s*"?utf-8"?)?\s*$/i;

/** The body as JSON, at most 64 KiB, uncompressed; any other media type is 415. An absent body is left undefined. */
export const jsonBody: RequestHandler = (req, res, next) => {
  if (!hasBody(req)) return next();
  if (!utf8Json.test(req.headers['content-type'] ?? ''))
    throw new Problem(
      'unsupported-media-type',
      'The body must be JSON in UTF-8. Send it with "Content-Type: application/json".',
    );
  parse(req, res, next);
};

function hasBody(req: Request): boolean {
  return req.headers['transfer-encoding'] !== undefined || (req.headers['content-length'] ?? '0') !== '0';
}

/** Everything under /v1 is JSON: a client that accepts none of it is told so before anything is done. */
export const jsonAccepted: RequestHandler = (req, _res, next) => {
  if (req.accepts(['application/json', 'application/problem+json']) === false)
    throw new Problem(
      'not-acceptable',
      'Only JSON is served here. Send "Accept: application/json", or no Accept at all.',
    );
  next();
};
