import type { RequestState } from '../../domain/states.ts';
import type { Chance } from './chance.ts';
import {
  type Breakage,
  type Fault,
  type Instant,
  type Integration,
  type Life,
  links,
  type Moment,
  processes,
} from './plan.ts';

export function faultOf(draw: Chance, at: Instant): Fault {
  return {
    at,
    breakage: breakageOf(draw),
    forMs: draw.between(100, 2_500),
  };
}

/** A PostgreSQL stands still for less than a transaction may last (2 s), for longer, or for longer than its clients wait. */
export function stopOf(draw: Chance, at: Instant): Fault {
  const [leastMs, mostMs] = draw.oneOf([
    [100, 1_900],
    [2_100, 4_500],
    [2_100, 4_500],
    [5_500, 9_000],
    [15_500, 19_000],
  ]);
  return {
    at,
    breakage: { do: 'stop', process: draw.oneOf(['ledger', 'ledger', 'issuer']) },
    forMs: draw.between(leastMs, mostMs),
  };
}

/** Most often while something of one of these lives goes on. */
export function amid(draw: Chance, lives: readonly Life[]): Instant {
  const { when } = stateOf(draw, lives);
  return instantOf(draw, draw.percent(70) ? when : undefined);
}

export function instantOf(draw: Chance, when: Instant['when']): Instant {
  if (when === undefined) return { afterMs: draw.between(200, 12_000), latestMs: 12_000 };
  return { when, afterMs: draw.percent(30) ? 0 : draw.between(0, 600), latestMs: draw.between(8_000, 20_000) };
}

/**
 * A state that some act of some life shows on its way.
 * @param firstIndex of the first of `lives` among all of the plan
 */
export function stateOf(
  draw: Chance,
  lives: readonly Life[],
  firstIndex = 0,
): { readonly when: Moment; readonly integration: Integration } {
  const index = draw.between(0, lives.length - 1);
  const life = lives[index];
  const act = draw.between(0, (life?.acts.length ?? 1) - 1);
  const what = life?.acts[act]?.what;
  if (life === undefined || what === undefined)
    throw new RangeError(`Life ${index} of ${lives.length} has no act ${act}.`);
  const state = draw.oneOf<RequestState>([
    'executing',
    'executing',
    'completed',
    ...(what === 'rotate' ? (['awaiting-consumers', 'awaiting-consumers'] as const) : []),
    ...(what !== 'revoke' && life.environment === 'production' ? (['awaiting-approval'] as const) : []),
  ]);
  return { when: { life: firstIndex + index, act, state }, integration: life.integration };
}

export function breakageOf(draw: Chance): Breakage {
  const link = draw.oneOf(links);
  const process = draw.oneOf(processes);
  const stopped = draw.oneOf(['worker', 'worker', 'api', 'temporal', 'vault'] as const);
  const ms = draw.between(50, 800);
  const kilobytesPerSecond = draw.between(2, 40);
  // Half of the faults are deaths: they are what loses most.
  const kind = draw.between(1, 100);
  if (kind <= 48) return { do: 'kill', process };
  if (kind <= 58) return { do: 'stop', process: stopped };
  if (kind <= 66) return { do: 'zombie' };
  if (kind <= 74) return { do: 'cut', link };
  if (kind <= 81) return { do: 'reset', link };
  if (kind <= 88) return { do: 'blackhole', link };
  if (kind <= 95) return { do: 'delay', link, ms };
  return { do: 'throttle', link, kilobytesPerSecond };
}
