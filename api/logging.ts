import { randomUUID } from 'node:crypto';
import type { RequestHandler } from 'express';
import { type DestinationStream, type Logger, pino } from 'pino';
import { pinoHttp } from 'pino-http';

/**
 * The API's log: one JSON line per event. Serializers write down what may be logged; everything else about a request
 * (headers, query, body) never reaches the logger. The redaction paths are the second line.
 */
export function createLogger(destination?: DestinationStream): Logger {
  return pino(
    {
      base: { process: 'api' },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: [
          'authorization',
          'token',
          'value',
          'secret',
          'password',
          'cookie',
          '*.authorization',
          '*.token',
          '*.value',
          '*.secret',
          '*.password',
          '*.cookie',
          '*.headers',
          '*.body',
        ],
        censor: '[redacted]',
      },
      serializers: { err: describeError },
    },
    destination ?? pino.destination(1),
  );
}

/** The same as `requestLogging`, of calls that were refused only: what a resource server asks at every call of its own. */
export function logRefused(logger: Logger): RequestHandler {
  return (req, res, next) => {
    const id = randomUUID();
    req.id = id;
    res.setHeader('X-Request-Id', id);
    const startedAt = performance.now();
    res.once('finish', () => {
      const { statusCode: status } = res;
      if (status < 400) return;
      const line = { requestId: id, req: { id, method: req.method, path: req.path }, res: { status } };
      const responseTime = Math.round(performance.now() - startedAt);
      logger[status >= 500 ? 'error' : 'warn']({ ...line, responseTime }, 'request answered');
    });
    next();
  };
}

/** Gives every request an id, answers it as X-Request-Id, and logs how it ended. */
export function requestLogging(logger: Logger): RequestHandler {
  return pinoHttp({
    logger,
    genReqId(_req, res) {
      // Ours, never the caller's: an id that the caller chooses could be made to collide in the log.
      const id = randomUUID();
      res.setHeader('X-Request-Id', id);
      return id;
    },
    wrapSerializers: false,
    serializers: {
      req: (req: { id: unknown; method: string; url: string }) => ({
        id: req.id,
        method: req.method,
        path: req.url.split('?', 1)[0],
      }),
      res: (res: { statusCode: number }) => ({ status: res.statusCode }),
      err: describeError,
    },
    quietReqLogger: true,
    customAttributeKeys: { reqId: 'requestId' },
    customLogLevel(_req, res, error) {
      if (error !== undefined || res.statusCode >= 500) return 'error';
      return res.statusCode >= 400 ? 'warn' : 'info';
    },
    // The cause has a line of its own (problem.ts); pino-http would add an error that it makes up.
    customErrorObject: (_req, _res, _error, line: object) => ({ ...line, err: undefined }),
    customErrorMessage: () => 'request answered',
    customSuccessMessage: (_req, res) => (res.writableFinished ? 'request answered' : 'client gone'),
  });
}

interface DescribedError {
  readonly type: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
  readonly cause?: DescribedError;
}

/** Name, message and stack, and of the causes too; an error's other members may hold what was sent. */
function describeError(error: unknown, depth = 0): DescribedError {
  if (!(error instanceof Error)) return { type: typeof error, message: 'something that is not an error was thrown' };
  return {
    type: error.name,
    message: withoutSecrets(withoutArguments(error)),
    ...('code' in error && typeof error.code === 'string' ? { code: error.code } : {}),
    // Frames only: the head of a stack is the message once more.
    ...(error.stack === undefined
      ? {}
      : {
          stack: error.stack
            .split('\n')
            .filter((line) => /^\s+at /.test(line))
            .join('\n'),
        }),
    ...(error.cause === undefined || depth >= 3 ? {} : { cause: describeError(error.cause, depth + 1) }),
  };
}

/** Prisma prints the arguments of the call, which are what was sent; what is wrong stands in its last line. */
function withoutArguments({ name, message }: Error): string {
  if (!name.startsWith('PrismaClient')) return message;
  const lines = message.trim().split('\n');
  return [...new Set([lines[0], lines.at(-1)])].join(' ');
}

/** Drivers put connection strings and tokens into messages: take out what looks like one. */
function withoutSecrets(text: string): string {
  return text
    .replace(/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, '[token]')
    .replace(/(\/\/[^\s:/@]*):[^\s@]*@/g, '$1:[redacted]@')
    .replace(/\b(Bearer)\s+\S+/gi, '$1 [redacted]');
}
