import type { RequestHandler, Response } from 'express';
import { type ProblemSlug, problems } from '../domain/problems.ts';

/**
 * Endpoints of OAuth 2.0 tell an `error` of its own words beside the problem (RFC 6749 §5.2, RFC 7009 §2.2.1, RFC 7662 §2.3):
 * its clients read that member and nothing else.
 */

const spoken = new WeakSet<Response>();

/** Middleware: problems of this call carry the member. First of the route's, so that every refusal does. */
export const speakOAuth: RequestHandler = (_req, res, next) => {
  spoken.add(res);
  next();
};

/** What a problem says besides itself in this call. */
export function oauthMembers(res: Response, slug: ProblemSlug, detail: string): Record<string, string> {
  return spoken.has(res) ? { error: errorOf(slug), error_description: detail } : {};
}

/** RFC 6749 §5.2, RFC 8628 §3.5: what is said of its own; the rest follows from the status. */
const named: Partial<Record<ProblemSlug, string>> = {
  unauthenticated: 'invalid_client',
  'authorization-pending': 'authorization_pending',
  'step-up-denied': 'access_denied',
  'no-step-up': 'invalid_grant',
  'unsupported-grant-type': 'unsupported_grant_type',
  'too-many-requests': 'slow_down',
};

function errorOf(slug: ProblemSlug): string {
  const { status } = problems[slug];
  if (named[slug] !== undefined) return named[slug];
  if (status === 401) return 'invalid_client';
  if (status === 403) return 'unauthorized_client';
  if (status === 503) return 'temporarily_unavailable';
  return status >= 500 ? 'server_error' : 'invalid_request';
}
