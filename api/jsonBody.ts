import express, { type Request, type RequestHandler } from 'express';
import { Problem } from './problem.ts';

export const largestBodyBytes = 64 * 1024;

const parse = express.json({ type: 'application/json', limit: largestBodyBytes, strict: true, inflate: false });

/** The body as JSON, at most 64 KiB, uncompressed; any other media type is 415. An absent body is left undefined. */
export const jsonBody: RequestHandler = (req, res, next) => {
  if (!hasBody(req)) return next();
  if (req.is('application/json') !== 'application/json')
    throw new Problem(
      'unsupported-media-type',
      'The body must be JSON. Send it with "Content-Type: application/json".',
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
