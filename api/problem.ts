import type { ErrorRequestHandler, Response } from 'express';
import type { Logger } from 'pino';
import { type ProblemSlug, problems, problemType } from '../domain/problems.ts';
import { FlowVersionNotUnderstood } from '../ledger/flows.ts';
import { LedgerRestored } from '../ledger/restore.ts';
import { oauthMembers } from './oauthErrors.ts';

/** One part of the request that is at fault: `body.scopes.0`, `query.limit`, `header.idempotency-key`. */
export interface FieldFault {
  readonly field: string;
  readonly message: string;
}

/**
 * A refusal that the caller is told in full (RFC 9457). `detail` says what happened, to which object, and what to do next;
 * it never holds a secret, nor what the caller sent.
 */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly slug: ProblemSlug;
  readonly extensions: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;
  constructor(
    slug: ProblemSlug,
    detail: string,
    {
      extensions = {},
      headers = {},
      cause,
    }: {
      extensions?: Readonly<Record<string, unknown>>;
      headers?: Readonly<Record<string, string>>;
      cause?: unknown;
    } = {},
  ) {
    super(detail, cause === undefined ? {} : { cause });
    this.slug = slug;
    this.extensions = extensions;
    this.headers = headers;
  }
}

/** Whether a word from the ledger or a flow is a problem of the catalogue. */
export function isProblemSlug(word: string): word is ProblemSlug {
  return Object.hasOwn(problems, word);
}

/** A refusal of the ledger as a problem. A word outside the catalogue is a defect of ours, and is said to be one. */
export function refusalProblem(
  { slug, detail }: { slug: string; detail: string },
  extensions: Readonly<Record<string, unknown>> = {},
): Problem {
  return isProblemSlug(slug)
    ? new Problem(slug, detail, { extensions })
    : new Problem('internal', `The ledger refused with an unknown word: ${detail}`);
}

/** 400 that names every field at fault. */
export function invalidRequest(faults: readonly FieldFault[]): Problem {
  const listed = faults.map(({ field, message }) => `${field}: ${message}`).join('; ');
  return new Problem('invalid-request', `${listed}. Correct it and send the request again; nothing was written.`, {
    extensions: { errors: faults },
  });
}

export function notFound(what: string, id: string): Problem {
  return new Problem('not-found', `There is no ${what} ${id}, or you may not see it. Check the id.`);
}

/** RFC 9457. @param httpRequestId as in X-Request-Id and the log */
export function problemDocument({ slug, message, extensions }: Problem, httpRequestId: string) {
  const { status, title } = problems[slug];
  const instance = `urn:tenure:http-request:${httpRequestId}`;
  return { type: problemType(slug), title, status, detail: message, instance, ...extensions };
}

export function sendProblem(res: Response, problem: Problem): void {
  const document = problemDocument(problem, String(res.req.id));
  const members = { ...document, ...oauthMembers(res, problem.slug, problem.message) };
  res.status(document.status).set(problem.headers).type('application/problem+json').send(JSON.stringify(members));
}

/**
 * The last middleware. Problems are answered as they are; everything unforeseen is logged with its cause and answered
 * without it.
 * @param isUnavailable tells that the ledger could not be reached, so that the outcome is unknown
 */
export function problemHandler(logger: Logger, isUnavailable: (error: unknown) => boolean): ErrorRequestHandler {
  return (error: unknown, req, res, next) => {
    if (res.headersSent) return next(error);
    const problem = problemOf(error, isUnavailable);
    if (problems[problem.slug].status >= 500) logger.error({ requestId: req.id, err: error }, 'request failed');
    sendProblem(res, problem);
  };
}

/** The problem that an error is answered as. */
export function problemOf(error: unknown, isUnavailable: (error: unknown) => boolean): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof URIError) return invalidRequest([{ field: 'path', message: 'is not properly percent-encoded' }]);
  if (error instanceof LedgerRestored) return new Problem('observe-only', error.message);
  if (error instanceof FlowVersionNotUnderstood) return new Problem('newer-release', error.message);
  if (isUnavailable(error)) return unavailable(error);
  return new Problem(
    'internal',
    'The request could not be carried out because of a fault in Tenure. Look for its id (X-Request-Id) in the log.',
    { cause: error },
  );
}

/** 503 with the one thing that is safe to do. */
export function unavailable(cause: unknown): Problem {
  return new Problem(
    'unavailable',
    'The outcome is unknown: a part of Tenure did not answer in time. Send the same request again with the same Idempotency-Key.',
    {
      headers: { 'Retry-After': '1' },
      cause,
    },
  );
}
