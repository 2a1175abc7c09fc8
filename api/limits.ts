import type { Request, RequestHandler, Response } from 'express';
import { ipKeyGenerator, rateLimit } from 'express-rate-limit';
import { principalOf } from './auth/principal.ts';
import { Problem } from './problem.ts';

/** How many requests one minute may bring, to each API process. */
export interface RateLimits {
  /** From one network address, before sign-in: bounds what a flood of bad tokens costs. */
  readonly perAddress: number;
  /** From one principal, after it. */
  readonly perPrincipal: number;
  /** Of those, what takes a thread for a while: analyses of flows. */
  readonly analyses: number;
  /** Of routes that resource servers ask for every call of theirs, from one principal; these count nowhere else. */
  readonly frequent: number;
}

/** Room for a hundred clients behind one address, and for one that reads its secret before every login. */
export const defaultRateLimits: RateLimits = {
  perAddress: 12_000,
  perPrincipal: 6_000,
  analyses: 60,
  frequent: 600_000,
};

const windowMs = 60_000;

export function limitPerAddress({ perAddress }: RateLimits): RequestHandler {
  return limit(perAddress, ofAddress, 'this network address');
}

/** Of routes that resource servers ask for every call of theirs: only calls that were refused count. */
export function limitRefused({ perAddress }: RateLimits): RequestHandler {
  const refused = counts();
  return (req, res, next) => {
    // Read now: it is gone with the connection. What it counts as is worked out only once somebody was refused.
    const { ip = 'unknown' } = req;
    if (!refused.isEmpty() && refused.of(ipKeyGenerator(ip)) >= perAddress)
      throw tooMany(`More than ${perAddress} refused requests in a minute from this network address.`);
    res.once('finish', () => {
      if (res.statusCode >= 400) refused.add(ipKeyGenerator(ip));
    });
    next();
  };
}

export function limitPerPrincipal({ perPrincipal }: RateLimits): RequestHandler {
  return limit(perPrincipal, ofPrincipal, 'this principal');
}

/** As above; what is left of the limit is not told, which would cost more than what is counted. */
export function limitFrequent({ frequent }: RateLimits): RequestHandler {
  const asked = counts();
  return (req, res, next) => {
    if (asked.add(ofPrincipal(req, res)) > frequent)
      throw tooMany(`More than ${frequent} requests in a minute from this principal.`);
    next();
  };
}

/** How often each key was counted in this minute. */
interface Counts {
  isEmpty(): boolean;
  of(key: string): number;
  /** @returns how often it was counted, this time included */
  add(key: string): number;
}

function counts(): Counts {
  let counted = new Map<string, number>();
  let endsAtMs = 0;
  function inThisMinute(): Map<string, number> {
    const nowMs = performance.now();
    if (nowMs < endsAtMs) return counted;
    endsAtMs = nowMs + windowMs;
    counted = new Map();
    return counted;
  }
  return {
    isEmpty: () => inThisMinute().size === 0,
    of: (key) => inThisMinute().get(key) ?? 0,
    add(key) {
      const times = (inThisMinute().get(key) ?? 0) + 1;
      counted.set(key, times);
      return times;
    },
  };
}

function tooMany(what: string): Problem {
  const headers = { 'Retry-After': String(windowMs / 1000) };
  return new Problem('too-many-requests', `${what} Wait as long as Retry-After says.`, { headers });
}

export function limitAnalyses({ analyses }: RateLimits): RequestHandler {
  return limit(analyses, ofPrincipal, 'this principal', 'analyses of flows');
}

function ofAddress(req: Request): string {
  return ipKeyGenerator(req.ip ?? 'unknown');
}

function ofPrincipal(_req: Request, res: Response): string {
  return principalOf(res).id;
}

function limit(
  perMinute: number,
  keyGenerator: (req: Request, res: Response) => string,
  who: string,
  what = 'requests',
): RequestHandler {
  return rateLimit({
    windowMs,
    limit: perMinute,
    keyGenerator,
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    handler(_req, _res, next) {
      next(
        new Problem(
          'too-many-requests',
          `More than ${perMinute} ${what} in a minute from ${who}. Wait as long as Retry-After says.`,
        ),
      );
    },
  });
}
