import { SpanKind, SpanStatusCode, type Tracer } from '@opentelemetry/api';
import type { Request, RequestHandler, Response } from 'express';
import { routeTemplate } from '../api/answeredCalls.ts';
import { idPattern } from '../domain/ids.ts';

/** Asked every few seconds by machines, and of no request. */
const untraced = new Set(['/healthz', '/readyz']);

/**
 * A span for each call, the root of its trace. A `traceparent` of the caller's is not taken up: anybody can send one, and
 * would join calls to other people's traces or switch the sampling of its own off.
 */
export function tracedCalls(tracer: Tracer): RequestHandler {
  return (req, res, next) => {
    if (untraced.has(req.path)) {
      next();
      return;
    }
    tracer.startActiveSpan(req.method, { kind: SpanKind.SERVER, root: true }, (span) => {
      res.once('close', () => {
        const route = routeTemplate(req.route);
        span.updateName(`${req.method} ${route}`);
        span.setAttributes({
          'http.request.method': req.method,
          'http.route': route,
          'http.response.status_code': res.statusCode,
          ...idsOf(req, res),
        });
        if (res.statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
        span.end();
      });
      next();
    });
  };
}

/** What the path names, and the request that the call opened; what does not look like an id of ours is somebody's text. */
function idsOf(req: Request, res: Response): Record<string, string> {
  const [, opened] = /^\/v1\/requests\/([^/]+)$/.exec(String(res.getHeader('Location') ?? '')) ?? [];
  const named = {
    'tenure.request_id': req.params['requestId'] ?? opened,
    'tenure.identity_id': req.params['identityId'],
  };
  return Object.fromEntries(
    Object.entries(named).filter((entry): entry is [string, string] => {
      const [, id] = entry;
      return typeof id === 'string' && idPattern.test(id);
    }),
  );
}
