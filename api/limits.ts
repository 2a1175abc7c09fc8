import type { Request, RequestHandler, Response } from 'express';
import { ipKeyGenerator, type Options, rateLimit } from 'express-rate-limit';
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

/** @param frequent paths of which only refused calls count */
export function limitPerAddress({ perAddress }: RateLimits, frequent: ReadonlySet<string>): RequestHandler {
  const ofAddress = (req: Request) => ipKeyGenerator(req.ip ?? 'unknown');
  const every = limit(perAddress, ofAddress, 'this network address');
  const refused = limit(perAddress, ofAddress, 'this network address', {
    ...isUntold,
    // Counted until it is answered all the same.
    skipSuccessfulRequests: true,
    requestWasSuccessful: (_req, res) => res.statusCode < 400,
  });
  return (req, res, next) => (frequent.has(req.path) ? refused : every)(req, res, next);
}

export function limitPerPrincipal({ perPrincipal }: RateLimits): RequestHandler {
  return limit(perPrincipal, ofPrincipal, 'this principal');
}

export function limitFrequent({ frequent }: RateLimits): RequestHandler {
  return limit(frequent, ofPrincipal, 'this principal', isUntold);
}

export function limitAnalyses({ analyses }: RateLimits): RequestHandler {
  return limit(analyses, ofPrincipal, 'this principal', {}, 'analyses of flows');
}

/** The fields that tell how much of a limit is left cost more than what is counted. */
const isUntold = { standardHeaders: false } as const;

function ofPrincipal(_req: Request, res: Response): string {
  return principalOf(res).id;
}

function limit(
  perMinute: number,
  keyGenerator: (req: Request, res: Response) => string,
  who: string,
  options: Partial<Options> = {},
  what = 'requests',
): RequestHandler {
  return rateLimit({
    windowMs,
    limit: perMinute,
    keyGenerator,
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    ...options,
    handler(_req, _res, next) {
      next(
        new Problem(
          'too-many-requests',
          `More than ${perMinute} ${what} in a minute from ${who}. Wait as long as Retry-After says.`,
          options.standardHeaders === false ? { headers: { 'Retry-After': String(windowMs / 1000) } } : {},
        ),
      );
    },
  });
}
