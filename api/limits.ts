import { isIP } from 'node:net';
import type { Request, RequestHandler, Response } from 'express';
import { ipKeyGenerator, rateLimit } from 'express-rate-limit';
import { anonymousId, principalIfAny, principalOf } from './auth/principal.ts';
import { Problem } from './problem.ts';

/** How many requests one minute may bring, to each API process. */
export interface RateLimits {
  /** From one network address, of calls that do not prove who sends them. */
  readonly perAddress: number;
  /** From one principal; safety commands are counted apart. */
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

/** Calls that do not prove who sends them, by their address; whoever signs in is never counted here, nor refused for others. */
export interface UnprovenCalls {
  /** Counts the call when it ends without a sign-in. */
  readonly count: RequestHandler;
  /** Refuses what shows no token, once there were too many; what shows one is looked at, or who signs in would be locked out. */
  readonly refuseWithoutToken: RequestHandler;
  /** Refuses whatever comes, where nobody signs in. */
  readonly refuse: RequestHandler;
}

export function unprovenCalls({ perAddress }: RateLimits): UnprovenCalls {
  const unproven = counts();
  const refuse: RequestHandler = (req, _res, next) => {
    // What it counts as is worked out only once somebody proved nothing.
    if (!unproven.isEmpty() && unproven.of(ofAddress(req)) >= perAddress)
      throw tooMany(`More than ${perAddress} requests without a sign-in in a minute from this network address.`);
    next();
  };
  return {
    count(req, res, next) {
      // Read now: it is gone with the connection.
      const address = addressOf(req);
      res.once('close', () => {
        if (isUnproven(res)) unproven.add(ipKeyGenerator(address));
      });
      next();
    },
    refuse,
    refuseWithoutToken(req, res, next) {
      if (req.headers.authorization === undefined) refuse(req, res, next);
      else next();
    },
  };
}

function isUnproven(res: Response): boolean {
  const principal = principalIfAny(res);
  return principal === undefined || principal.id === anonymousId;
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

/** Whoever signs in nowhere, as they are counted: of IPv6 a network, since one caller has all addresses of it. */
export function ofAddress(req: Request): string {
  return ipKeyGenerator(addressOf(req));
}

/** What a trusted proxy says, if that is an address; else the connection's own, which nobody chooses. */
function addressOf({ ip, socket }: Request): string {
  return ip !== undefined && isIP(ip) !== 0 ? ip : (socket.remoteAddress ?? '::');
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
