import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ProblemSlug } from '../domain/problems.ts';
import { largestBodyBytes } from './jsonBody.ts';
import { Problem, problemDocument } from './problem.ts';

export interface HttpTimeouts {
  /** Until a call's headers are there: a slow sender holds a socket, not a handler. */
  readonly headersMs: number;
  /** Until all of it is there, which says nothing of how long it is answered. */
  readonly requestMs: number;
  /** How long a connection stays open between two calls. */
  readonly keepAliveMs: number;
  /** How often it is looked whether the first two are over. */
  readonly lookMs: number;
}

export const defaultTimeouts: HttpTimeouts = {
  headersMs: 10_000,
  requestMs: 30_000,
  keepAliveMs: 75_000,
  lookMs: 1_000,
};

/** More than any client sends one after the other before it reads an answer. */
const mostUnanswered = 32;
/** How long what still comes is thrown away after a refusal, so that the refusal is read before the connection ends. */
const lingerMs = 2_000;

/**
 * The server of the API: what HTTP itself refuses, before any route, is a problem too (RFC 9457), and ends the connection
 * cleanly; no call may send more than is read of it.
 */
export function apiServer(api: RequestListener, timeouts: HttpTimeouts = defaultTimeouts): Server {
  const unanswered = new WeakMap<Duplex, Set<ServerResponse>>();

  function answer(req: IncomingMessage, res: ServerResponse): void {
    const { socket } = req;
    const open = unanswered.get(socket) ?? new Set();
    unanswered.set(socket, open.add(res));
    res.once('close', () => open.delete(res));
    if (open.size > mostUnanswered) refuse(req, res, tooManyUnanswered());
    else {
      closeIfMuchIsUnread(req, res);
      api(req, res);
    }
  }

  const server = createServer(
    {
      headersTimeout: timeouts.headersMs,
      requestTimeout: timeouts.requestMs,
      keepAliveTimeout: timeouts.keepAliveMs,
      connectionsCheckingInterval: timeouts.lookMs,
    },
    answer,
  );
  // Whoever asks first whether to send a body is told by the route: before it is read, or by the refusal.
  server.on('checkContinue', answer);
  server.on('checkExpectation', (req: IncomingMessage, res: ServerResponse) => refuse(req, res, expectationFailed()));
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const [first, ...more] = unanswered.get(socket) ?? [];
    // Into an answer that has begun, or before one that is still to come, nothing may be written.
    if (!socket.writable || error.code === 'ECONNRESET' || more.length > 0 || first?.headersSent === true) {
      socket.destroy();
      return;
    }
    // It is told of all that comes after, too.
    if (isRefused.has(socket)) return;
    isRefused.add(socket);
    socket.end(rawAnswer(parserProblem(error.code)));
    setTimeout(() => socket.destroy(), lingerMs).unref();
  });
  return server;
}

const isRefused = new WeakSet<Duplex>();

/**
 * An answer before a large or endless body was read ends the connection, or Node would read all of that first; what was on
 * its way is thrown away for a moment, since a connection that is cut at once takes the answer with it.
 */
function closeIfMuchIsUnread(req: IncomingMessage, res: ServerResponse): void {
  const isShort = req.headers['transfer-encoding'] === undefined && lengthOf(req) <= largestBodyBytes;
  if (isShort && req.headers.expect === undefined) return;
  const writeHead = res.writeHead;
  res.writeHead = (...head: unknown[]) => {
    if (!req.complete) {
      res.setHeader('Connection', 'close');
      linger(req);
    }
    return Reflect.apply(writeHead, res, head);
  };
}

function lengthOf({ headers }: IncomingMessage): number {
  return Number(headers['content-length'] ?? 0);
}

function linger(req: IncomingMessage): void {
  const { socket } = req;
  socket.destroySoon = () => {
    socket.end();
    setTimeout(() => socket.destroy(), lingerMs).unref();
  };
  req.resume();
}

function refuse(req: IncomingMessage, res: ServerResponse, problem: Problem): void {
  const { status, headers, body } = answerOf(problem);
  linger(req);
  res.writeHead(status, { ...headers, Connection: 'close' }).end(body);
}

function answerOf(problem: Problem) {
  const id = randomUUID();
  const document = problemDocument(problem, id);
  const body = JSON.stringify(document);
  const headers = {
    'Content-Type': 'application/problem+json; charset=utf-8',
    'Content-Length': String(Buffer.byteLength(body)),
    'Cache-Control': 'no-store',
    'X-Request-Id': id,
    ...problem.headers,
  };
  return { status: document.status, headers, body };
}

/** There is no response object for what could not be parsed. */
function rawAnswer(problem: Problem): string {
  const { status, headers, body } = answerOf(problem);
  const lines = Object.entries({ ...headers, Connection: 'close' }).map(([name, value]) => `${name}: ${value}`);
  return [`HTTP/1.1 ${status} ${reasonPhrases[status] ?? 'Bad Request'}`, ...lines, '', body].join('\r\n');
}

const reasonPhrases: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  413: 'Content Too Large',
  431: 'Request Header Fields Too Large',
};

const ofParser: Readonly<Record<string, readonly [ProblemSlug, string]>> = {
  HPE_HEADER_OVERFLOW: [
    'headers-too-large',
    'The headers, the address among them, are larger than 16 KiB. Send less in them; long lists belong into several calls.',
  ],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: ['too-large', 'The extensions of the chunks are larger than 16 KiB. Send none.'],
  ERR_HTTP_REQUEST_TIMEOUT: [
    'request-timeout',
    'The request did not arrive in time: its headers within 10 seconds, all of it within 30. Nothing was done. Send it again, faster.',
  ],
};

function parserProblem(code: string | undefined): Problem {
  const [slug, detail] = ofParser[code ?? ''] ?? [
    'malformed-http',
    'This is not HTTP/1.1 as RFC 9112 has it, and was not looked at further. Send it with a client that speaks it.',
  ];
  return new Problem(slug, detail);
}

function tooManyUnanswered(): Problem {
  return new Problem(
    'too-many-requests',
    `More than ${mostUnanswered} requests were sent on this connection before any was answered. Read the answers first.`,
    { headers: { 'Retry-After': '1' } },
  );
}

function expectationFailed(): Problem {
  return new Problem(
    'expectation-failed',
    'The header Expect asks for something that is not served here; "100-continue" is all there is. Send it without Expect.',
  );
}
