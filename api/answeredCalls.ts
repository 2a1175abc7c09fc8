import type { RequestHandler } from 'express';

/** A call that was answered, in words of a fixed set: nothing of what was sent is in it. */
export interface AnsweredCall {
  readonly method: string;
  /** OpenAPI form, `/v1/requests/{requestId}`; `none` when it reached no route. */
  readonly route: string;
  readonly status: number;
  readonly seconds: number;
}

const knownMethods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** Tells of every call when its answer is sent, or its client gone. */
export function tellAnswered(tell: (call: AnsweredCall) => void): RequestHandler {
  return (req, res, next) => {
    const startedAt = performance.now();
    res.once('close', () => {
      tell({
        method: knownMethods.has(req.method) ? req.method : 'other',
        route: routeTemplate(req.route),
        status: res.statusCode,
        seconds: (performance.now() - startedAt) / 1000,
      });
    });
    next();
  };
}

/** The route as the reference writes it; Express keeps on the call what it was mounted as. */
export function routeTemplate(route: { path?: unknown } | undefined): string {
  return typeof route?.path === 'string' ? route.path.replaceAll(/:(\w+)/g, '{$1}') : 'none';
}
