import type { Request, RequestHandler, Response } from 'express';
import { anonymousId, type Principal, principalOf } from './auth/principal.ts';
import { type Lane, type LaneLimits, lane } from './lane.ts';
import { ofAddress } from './limits.ts';
import type { Route } from './route.ts';

/** What is under way at once, each kind in a lane of its own: none waits behind another (docs/operating.md, "Under load"). */
export interface LanesLimits {
  readonly safety: LaneLimits;
  readonly ordinary: LaneLimits;
  /** Of routes that resource servers ask for every call of theirs. */
  readonly frequent: LaneLimits;
  /** Calls that wait for a change. */
  readonly longPolls: LaneLimits;
  readonly analyses: LaneLimits;
}

/**
 * One principal is many clients where it is a pipeline or a resource server. The safety lane is as wide as its pool is of
 * use; of analyses one for each principal, since a thread each is all there is.
 */
export const defaultLanes: LanesLimits = {
  safety: { atOnce: 12, perKey: 4, waitingPerKey: 100 },
  ordinary: { atOnce: 256, perKey: 48, waitingPerKey: 100 },
  frequent: { atOnce: 512, perKey: 256, waitingPerKey: 512 },
  longPolls: { atOnce: 4_096, perKey: 256, waitingPerKey: 0 },
  analyses: { atOnce: 256, perKey: 1, waitingPerKey: 4 },
};

/** @returns what admits the calls of a route, by principal; it comes after the body was read, so that slow senders hold nothing */
export function admission(limits: LanesLimits): (route: Route) => readonly RequestHandler[] {
  const lanes = Object.fromEntries(Object.entries(limits).map(([name, ofLane]) => [name, lane(ofLane)])) as Record<
    keyof LanesLimits,
    Lane
  >;
  return (route) => [
    ...(route.isAnalysis === true ? [admit(() => lanes.analyses, { isOver: 'taken' })] : []),
    admit((req, res) => (waits(route, req) ? lanes.longPolls : lanes[laneOf(route, principalOf(res))]), {
      isOver: route.isSafety === undefined ? 'taken' : 'answered',
    }),
  ];
}

function laneOf({ isSafety, isFrequent }: Route, { roles }: Principal): 'safety' | 'frequent' | 'ordinary' {
  if (isSafety === true || (isSafety === 'of-responders' && roles.includes('responder'))) return 'safety';
  return isFrequent === true ? 'frequent' : 'ordinary';
}

function waits({ isLongPoll }: Route, { query: { waitSeconds = '0' } }: Request): boolean {
  return isLongPoll === true && waitSeconds !== '0';
}

/**
 * When a place is free again. Answers that nobody takes are kept in memory, so mostly it is held until the answer is `taken`;
 * but whoever takes none would so keep others from stopping harm: there it ends when it is `answered`.
 */
interface Stay {
  readonly isOver: 'taken' | 'answered';
}

function admit(laneFor: (req: Request, res: Response) => Lane, { isOver }: Stay): RequestHandler {
  return async (req, res, next) => {
    const leave = await laneFor(req, res).enter(keyOf(req, res));
    if (res.closed) return leave();
    res.once('close', leave);
    if (isOver === 'answered') onAnswered(res, leave);
    next();
  };
}

/** Node tells of an answer only once the connection has taken it. */
function onAnswered(res: Response, answered: () => void): void {
  const { end } = res;
  res.end = (...last: unknown[]) => {
    answered();
    return Reflect.apply(end, res, last);
  };
}

/** Whoever signs in nowhere is where they call from. */
function keyOf(req: Request, res: Response): string {
  const { id, kind } = principalOf(res);
  return id === anonymousId ? `address:${ofAddress(req)}` : `${kind}:${id}`;
}
