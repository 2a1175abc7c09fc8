import type { Request, Response } from 'express';
import { invalidRequest, Problem } from './problem.ts';

/** No line of a body is looked at that is not UTF-8: what one reader replaces, another would read as something else. */
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * The body as text, at most `limit` bytes of it: a larger one is refused at its declared length, or where it exceeds the
 * limit; no more of it is read, nor kept. What sends the body has been asked to only now, where it asked first.
 * @throws Problem `too-large`, `unsupported-media-type`, `invalid-request`
 */
export async function boundedBody(req: Request, res: Response, limit: number): Promise<string> {
  if ((req.headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity')
    throw new Problem('unsupported-media-type', 'The body is compressed. Send it without Content-Encoding.');
  if (Number(req.headers['content-length'] ?? 0) > limit) throw tooLarge(limit);
  if (req.headers.expect !== undefined) res.writeContinue();
  const bytes = await bytesOf(req, limit);
  try {
    return utf8.decode(bytes);
  } catch {
    throw invalidRequest([{ field: 'body', message: 'is not UTF-8' }]);
  }
}

function bytesOf(req: Request, limit: number): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let size = 0;
  const take = (chunk: Buffer) => {
    size += chunk.length;
    chunks.push(chunk);
    if (size > limit) reject(tooLarge(limit));
  };
  const end = () => resolve(Buffer.concat(chunks));
  const ended = () => reject(invalidRequest([{ field: 'body', message: 'ended before its declared length' }]));
  req.on('data', take).once('end', end).once('error', ended).once('close', ended);
  return promise.finally(() => {
    req.off('data', take).off('end', end).off('close', ended);
  });
}

function tooLarge(limit: number): Problem {
  return new Problem('too-large', `The body is larger than ${limit / 1024} KiB. Send less in one request.`);
}
