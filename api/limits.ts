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
}

/** Room for a hundred clients behind one address, and for one that reads its secret before every login. */
export const defaultRateLimits: RateLimits = { perAddress: 12_000, perPrincipal: 6_000, analyses: 60 };

const windowMs = 60_000;

export function limitPerAddress({ perAddress }: RateLimits): RequestHandler {
  return limit(perAddress, (req) => ipKeyGenerator(req.ip ?? 'unknown'), 'this network address');
}

export function limitPerPrincipal({ perPrincipal }: RateLimits): RequestHandler {
  return limit(perPrincipal, (_req, res) => principalOf(res).id, 'this principal');
}

export function limitAnalyses({ analyses }: RateLimits): RequestHandler {
  return limit(analyses, (_req, res) => principalOf(res).id, 'this principal', 'analyses of flows');
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
