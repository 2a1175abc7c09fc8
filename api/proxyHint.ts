import type { RequestHandler } from 'express';
import type { ApiDependencies } from './ports.ts';

/**
 * Says once in the log that calls come through a proxy that tenure.yaml does not name: all callers behind it then count as
 * one address. What the header says is not believed.
 */
export function proxyHint({
  configuration,
  logger,
}: Pick<ApiDependencies, 'configuration' | 'logger'>): RequestHandler {
  let isSaid = configuration.trustedProxies.length > 0;
  return (req, _res, next) => {
    if (!isSaid && req.headers['x-forwarded-for'] !== undefined) {
      isSaid = true;
      const { remoteAddress: proxy } = req.socket;
      logger.warn(
        { proxy },
        `calls come with X-Forwarded-For from ${proxy}, which trustedProxies does not name: if it is your proxy, add "trustedProxies: ['${proxy}']" to tenure.yaml, or all callers behind it count as one address`,
      );
    }
    next();
  };
}
